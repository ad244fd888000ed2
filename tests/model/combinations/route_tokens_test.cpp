#include "combination_case.hpp"

namespace cmsweep {
namespace {

class RouteTokens : public CombinationCase {
protected:
    double training_loss(const Combination& combination) const {
        EvaluationText training{&text, {}, kContext};
        for (std::uint64_t i = 0; i < 200; ++i) training.starts.push_back(i * kContext);
        const Predictor* const one[] = {combination.predictor.get()};
        return evaluate(one, training, torch::kCPU, "float32", {})[0].loss;
    }
};

TEST_F(RouteTokens, UntrainedZeroGateIsTheEqualEnsemble) {
    EXPECT_TRUE(near(losses(combined("route_tokens", {{"init", "zero"}, {"steps", 0}})), losses(combined("ensemble_probabilities"))));
}

TEST_F(RouteTokens, GateReadsTheBasesNormedStateAndWeighsProbabilities) {
    // An untrained gate whose weights the test can compute itself.
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all")};
    const auto combination = combined("route_tokens", {{"steps", 0}});
    const at::NoGradGuard no_grad;
    const auto ids = windows.narrow(1, 0, kContext), targets = windows.narrow(1, 1, kContext);
    auto gate = at::empty({2, 12}, at::kFloat);
    for (std::int64_t row = 0; row < 2; ++row) {
        Stream stream(7, "router_init", {"token_router", "member " + std::to_string(row)});
        for (std::int64_t i = 0; i < 12; ++i) gate[row][i] = std::sqrt(6.0 / 12) * (2 * stream.uniform() - 1);
    }
    const auto state = final_norm(*base, run_blocks(*base, embed(*base, ids), 0, 4));
    const auto g = at::softmax(at::matmul(state, gate.t()), -1);
    const auto p = g.narrow(-1, 0, 1) * at::softmax(forward(*members[0], ids), -1) + g.narrow(-1, 1, 1) * at::softmax(forward(*members[1], ids), -1);
    Batch batch(windows);
    const auto scores = combination.predictor->score(batch);
    EXPECT_TRUE(near(scores.loss, -p.gather(2, targets.unsqueeze(2)).squeeze(2).log()));
    EXPECT_TRUE(at::equal(scores.correct, p.argmax(-1) == targets));
}

TEST_F(RouteTokens, TrainingLowersTheTrainingLoss) {
    const auto trained = combined("route_tokens", {{"steps", 60}, {"learning_rate", 0.05}});
    EXPECT_LT(training_loss(trained), training_loss(combined("route_tokens", {{"steps", 0}})) - 0.02);
    // Its loss is the evaluation's: a step at rate 0 on every window would show the same number.
    EXPECT_NEAR(trained.curve.loss.front(), training_loss(combined("route_tokens", {{"steps", 0}})), 0.5);
}

TEST_F(RouteTokens, EqualMembersPredictAsOne) {
    members = {base, base};
    EXPECT_TRUE(near(losses(combined("route_tokens", {{"steps", 2}})), losses(base)));
}

TEST_F(RouteTokens, CostCountsTheBaseWithoutItsHead) {
    const auto cost = combined("route_tokens", {{"steps", 4}, {"batch", 2}}).predictor->cost(kContext);
    EXPECT_EQ(cost.trained, 24);
    EXPECT_EQ(cost.target_tokens, 4 * 2 * 8);
    EXPECT_EQ(cost.flops_per_token, 3 * 4 * (1152 + 216 + 2304) + 2 * 480 + 2 * 24);
    // Three models share all but their MLPs.
    EXPECT_EQ(cost.stored, 240 + 192 + 4 * (48 + 624) + 24 + 12 * 1212 + 24);
    EXPECT_EQ(cost.active, 240 + 12 + 4 * (48 + 624) + 24 + 12 * 1212 + 24);
}

}  // namespace
}  // namespace cmsweep
