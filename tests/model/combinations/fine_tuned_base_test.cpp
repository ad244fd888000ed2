#include "combination_case.hpp"

namespace cmsweep {
namespace {

class FineTunedBase : public CombinationCase {
protected:
    double training_loss(const Combination& combination) const {
        EvaluationText training{&text, {}, kContext};
        for (std::uint64_t i = 0; i < 200; ++i) training.starts.push_back(i * kContext);
        const Predictor* const one[] = {combination.predictor.get()};
        return evaluate(one, training, torch::kCPU, "float32", {})[0].loss;
    }
};

TEST_F(FineTunedBase, LearnsTheTextFromTheBaseAndLeavesItAlone) {
    const auto before = (*base)["h.0.mlp.c_fc.weight"].clone();
    const auto trained = combined("finetune_target", {{"steps", 40}, {"learning_rate", 3e-3}});
    EXPECT_LT(training_loss(trained), training_loss(combined("base")) - 0.1);
    EXPECT_TRUE(same_bits((*base)["h.0.mlp.c_fc.weight"], before));
    // All parameters can do more than the MLPs alone.
    EXPECT_LT(training_loss(combined("finetune_target", {{"steps", 40}, {"learning_rate", 3e-3}, {"trainable", "all"}})), training_loss(trained));
}

TEST_F(FineTunedBase, SeesTheRoutersWindows) {
    // A router with one expert is that expert: its losses are the base's on its windows, as the first step here.
    members = {base};
    const auto routed = combined("route", {{"steps", 3}, {"batch", 4}}), tuned = combined("finetune_target", {{"steps", 3}, {"batch", 4}});
    EXPECT_NEAR(tuned.curve.loss[0], routed.curve.loss[0], kRounding);
    EXPECT_NE(tuned.curve.loss[2], routed.curve.loss[2]);
    EXPECT_EQ(tuned.predictor->cost(kContext).target_tokens, routed.predictor->cost(kContext).target_tokens);
}

TEST_F(FineTunedBase, JointTrainsAsLongAsTheMembersTogetherOnAllTheirText) {
    const auto other = make_split(scratch.path(), 1500, 20, 4);
    auto given = input("joint", {{"batch", 4}});
    given.training_text = {&text, &other};
    given.member_tokens = {3 * 5 * kContext, 4 * 4 * kContext};  // 31 windows: 7.75 steps of 4
    const auto combination = combine(given);
    EXPECT_EQ(combination.curve.loss.size(), 8u);
    EXPECT_EQ(combination.predictor->cost(kContext).target_tokens, 8 * 2 * kContext);  // half of each batch is the target's text
    given.target_text = other.digest();
    EXPECT_EQ(combine(given).predictor->cost(kContext).target_tokens, 8 * 2 * kContext);
    given.target_text = hash_text("another");
    EXPECT_EQ(combine(given).predictor->cost(kContext).target_tokens, 0);
    given.training_text = {&text};
    EXPECT_NE(combine(given).curve.loss, combination.curve.loss);
    given.setting["steps"] = 2;
    EXPECT_EQ(combine(given).curve.loss.size(), 2u);
}

TEST_F(FineTunedBase, NoStepsLeaveTheBase) {
    EXPECT_TRUE(same_bits(losses(combined("joint")), losses(base)));
    EXPECT_TRUE(same_bits(losses(combined("finetune_target", {{"steps", 0}})), losses(base)));
}

TEST_F(FineTunedBase, CostIsOneNetworksPlusItsTraining) {
    const auto cost = combined("finetune_target", {{"steps", 2}, {"batch", 3}}).predictor->cost(kContext), plain = NetworkPredictor(base).cost(kContext);
    EXPECT_EQ(cost.trained, 4 * 1212);
    EXPECT_EQ(cost.target_tokens, 2 * 3 * 8);
    EXPECT_EQ(cost.stored, plain.stored);
    EXPECT_EQ(cost.flops_per_token, plain.flops_per_token);
    EXPECT_EQ(combined("finetune_target", {{"steps", 1}, {"trainable", "all"}}).predictor->cost(kContext).trained, plain.stored);
}

}  // namespace
}  // namespace cmsweep
