#include "combination_case.hpp"

namespace cmsweep {
namespace {

class LearnedAverage : public CombinationCase {
protected:
    /// Mean loss and entropy over the training text.
    std::pair<double, double> training_figures(const Combination& combination) const {
        std::vector<std::uint64_t> starts;
        for (std::uint64_t i = 0; i < 200; ++i) starts.push_back(i * kContext);
        const auto all = gather_windows(text, starts, kContext, torch::kCPU);
        const at::NoGradGuard no_grad;
        const auto log_p = at::log_softmax(forward(*combination.merged, all.narrow(1, 0, kContext)), -1);
        return {-log_p.gather(2, all.narrow(1, 1, kContext).unsqueeze(2)).mean().item<double>(),
                -(log_p * log_p.exp()).sum(-1).mean().item<double>()};
    }
};

TEST_F(LearnedAverage, UntrainedAddsTaskVectorsAtItsStart) {
    const auto combination = combined("learned_average", {{"steps", 0}, {"init", 0.5}}, {1, 2, false});
    for (const auto& [name, tensor] : combination.merged->tensors()) {
        const auto block = block_of(name);
        if (block < 1 || block > 2) continue;
        EXPECT_TRUE(near(tensor, (*base)[name] + 0.5 * ((*members[0])[name] - (*base)[name]) + 0.5 * ((*members[1])[name] - (*base)[name]), 1e-6));
    }
    EXPECT_TRUE((*combination.merged)["h.0.mlp.c_fc.weight"].is_same((*members[0])["h.0.mlp.c_fc.weight"]));
}

TEST_F(LearnedAverage, TrainingLowersItsObjective) {
    for (const auto* per : {"block", "tensor"}) {
        const nlohmann::json start{{"steps", 0}}, by_loss{{"steps", 60}, {"learning_rate", 0.02}, {"per", per}, {"objective", "loss"}},
            by_entropy{{"steps", 60}, {"learning_rate", 0.02}, {"per", per}, {"objective", "entropy"}};
        const auto before = training_figures(combined("learned_average", start));
        EXPECT_LT(training_figures(combined("learned_average", by_loss)).first, before.first - 0.02) << per;
        EXPECT_LT(training_figures(combined("learned_average", by_entropy)).second, before.second - 0.02) << per;
    }
}

TEST_F(LearnedAverage, TheFirstStepSeesTheStart) {
    // A step's loss is that of the network which the same coefficients give.
    const auto combination = combined("learned_average", {{"steps", 1}, {"objective", "loss"}, {"batch", 2}});
    WindowSampler sampler({{&text, 1.0}}, kContext, 2, 7, "coefficient_batches", "");
    const auto first = sampler.next(torch::kCPU);
    const auto start = combined("learned_average", {{"steps", 0}});
    const at::NoGradGuard no_grad;
    const auto loss = score_logits(forward(*start.merged, first.narrow(1, 0, kContext)), first.narrow(1, 1, kContext)).loss.mean();
    EXPECT_NEAR(combination.curve.loss.at(0), loss.item<double>(), kRounding);
}

TEST_F(LearnedAverage, CostCountsCoefficientsAndText) {
    const auto cost = combined("learned_average", {{"steps", 2}, {"batch", 3}}, {0, 2, false}).predictor->cost(kContext);
    EXPECT_EQ(cost.trained, 2 * 3);
    EXPECT_EQ(cost.target_tokens, 2 * 3 * 8);
    EXPECT_EQ(combined("learned_average", {{"steps", 2}, {"per", "tensor"}}, {0, 2, false}).predictor->cost(kContext).trained, 2 * 3 * 4);
}

TEST_F(LearnedAverage, KeepsWhatItClaims) {
    const nlohmann::json setting{{"steps", 5}};
    const auto forward_order = losses(combined("learned_average", setting));
    std::swap(members[0], members[1]);
    EXPECT_TRUE(near(losses(combined("learned_average", setting)), forward_order));
    members = {base, base};
    EXPECT_TRUE(same_bits(losses(combined("learned_average", setting)), losses(base)));
}

}  // namespace
}  // namespace cmsweep
