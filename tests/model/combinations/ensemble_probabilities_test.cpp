#include "combination_case.hpp"

namespace cmsweep {
namespace {

class EnsembleProbabilities : public CombinationCase {
protected:
    at::Tensor probabilities(const Parameters& network) const {
        const at::NoGradGuard no_grad;
        return at::softmax(forward(network, windows.narrow(1, 0, kContext)), -1);
    }
};

TEST_F(EnsembleProbabilities, LossIsMinusTheLogarithmOfTheMeanProbability) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all"), base};
    const auto mean = 0.25 * probabilities(*members[0]) + 0.25 * probabilities(*members[1]) + 0.5 * probabilities(*members[2]);
    const auto targets = windows.narrow(1, 1, kContext);
    const auto combination = combined("ensemble_probabilities", {{"weights", {1, 1, 2}}}, {-1, -1, false});
    const at::NoGradGuard no_grad;
    Batch batch(windows);
    const auto scores = combination.predictor->score(batch);
    EXPECT_TRUE(near(scores.loss, -mean.log().gather(2, targets.unsqueeze(2)).squeeze(2)));
    EXPECT_TRUE(at::equal(scores.correct, mean.argmax(-1) == targets));
}

TEST_F(EnsembleProbabilities, ParentsComeBackBitForBit) {
    EXPECT_TRUE(same_bits(losses(combined("ensemble_probabilities", {{"alpha", 1.0}})), losses(members[0])));
    EXPECT_TRUE(same_bits(losses(combined("ensemble_probabilities", {{"alpha", 0.0}})), losses(members[1])));
}

TEST_F(EnsembleProbabilities, EqualMembersPredictAsOne) {
    members = {base, base, base};
    EXPECT_TRUE(near(losses(combined("ensemble_probabilities")), losses(base)));
}

TEST_F(EnsembleProbabilities, HasNoStream) {
    Batch batch(windows);
    EXPECT_FALSE(combined("ensemble_probabilities").predictor->show_stream(batch, {}));
}

TEST_F(EnsembleProbabilities, CostAddsWholeNetworksAndCountsSharedTensorsOnce) {
    const auto one = NetworkPredictor(base).cost(kContext), both = combined("ensemble_probabilities").predictor->cost(kContext);
    EXPECT_EQ(both.flops_per_token, 2 * one.flops_per_token);
    EXPECT_EQ(both.stored, one.stored + 4 * 1212);
    EXPECT_EQ(both.active, one.active + 4 * 1212);
    EXPECT_EQ(combined("ensemble_probabilities", {{"alpha", 0.0}}).predictor->cost(kContext).stored, one.stored);
}

}  // namespace
}  // namespace cmsweep
