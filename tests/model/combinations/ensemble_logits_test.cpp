#include "combination_case.hpp"

namespace cmsweep {
namespace {

class EnsembleLogits : public CombinationCase {};

TEST_F(EnsembleLogits, LossIsThatOfTheMeanLogits) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all"), base};
    const at::NoGradGuard no_grad;
    const auto ids = windows.narrow(1, 0, kContext);
    const auto mean = 0.25 * forward(*members[0], ids) + 0.25 * forward(*members[1], ids) + 0.5 * forward(*members[2], ids);
    const auto wanted = score_logits(mean, windows.narrow(1, 1, kContext));
    Batch batch(windows);
    const auto scores = combined("ensemble_logits", {{"weights", {1, 1, 2}}}).predictor->score(batch);
    EXPECT_TRUE(near(scores.loss, wanted.loss));
    EXPECT_TRUE(at::equal(scores.correct, wanted.correct));
}

TEST_F(EnsembleLogits, ParentsComeBackBitForBitAndEqualMembersAsOne) {
    EXPECT_TRUE(same_bits(losses(combined("ensemble_logits", {{"alpha", 1.0}})), losses(members[0])));
    EXPECT_TRUE(same_bits(losses(combined("ensemble_logits", {{"alpha", 0.0}})), losses(members[1])));
    members = {base, base, base};
    EXPECT_TRUE(near(losses(combined("ensemble_logits")), losses(base)));
}

TEST_F(EnsembleLogits, CostIsThatOfTheNetworksSideBySide) {
    const auto cost = combined("ensemble_logits").predictor->cost(kContext);
    EXPECT_EQ(cost.flops_per_token, 2 * (4 * (1152 + 216 + 2304) + 480));
    EXPECT_EQ(cost.stored, 240 + 192 + 4 * (48 + 624) + 24 + 8 * 1212);
}

}  // namespace
}  // namespace cmsweep
