#include "combination_case.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

class FisherMerge : public CombinationCase {
protected:
    /// The windows that member text `split` is asked for.
    std::vector<at::Tensor> drawn(const StoredSplit& split, int count) const {
        WindowSampler sampler({{&split, 1.0}}, kContext, 1, 7, "fisher_batches", "");
        std::vector<at::Tensor> made;
        for (int i = 0; i < count; ++i) made.push_back(sampler.next(torch::kCPU));
        return made;
    }
    /// Squared gradient of the summed log-likelihood of each window, averaged, for one tensor.
    at::Tensor oracle(const Parameters& member, const std::string& name, const std::vector<at::Tensor>& all) const {
        auto sum = at::zeros_like(member[name]);
        for (const auto& window : all) {
            auto live = member;
            const auto leaf = member[name].clone().requires_grad_(true);
            live.set(name, leaf);
            const auto logits = forward(live, window.narrow(1, 0, kContext));
            const auto loss = at::cross_entropy_loss(logits.view({-1, 20}), window.narrow(1, 1, kContext).reshape({-1}));
            (loss * static_cast<double>(kContext)).backward();
            sum = sum + leaf.grad().square();
        }
        return sum / static_cast<double>(all.size());
    }
    Statistics information(const CombinationInput& given, const std::vector<MergeTensor>& tensors) const {
        TrainingCurve curve;
        std::int64_t trained = 0, target_tokens = 0;
        return fisher_information({given, tensors, curve, trained, target_tokens});
    }
};

TEST_F(FisherMerge, InformationIsTheMeanSquareOfEachWindowsGradient) {
    const auto other = make_split(scratch.path(), 1500, 20, 4);
    auto given = input("fisher", {{"windows", 3}});
    given.training_text = {&text, &other};
    const std::vector<MergeTensor> tensors{{"h.1.mlp.c_fc.weight", {12, 48}, true}, {"wte.weight", {20, 12}, false}};
    const auto found = information(given, tensors);
    const StoredSplit* const splits[] = {&text, &other};
    for (std::size_t i = 0; i < 2; ++i)
        for (std::size_t t = 0; t < 2; ++t) {
            const auto wanted = oracle(*members[i], tensors[t].name, drawn(*splits[i], 3));
            // Relative to the largest: squares of float32 gradients.
            EXPECT_TRUE(near(found[i][t], wanted, 1e-5 * wanted.max().item<double>())) << i << tensors[t].name;
        }
}

TEST_F(FisherMerge, SampledLabelsAreTheModelsOwnAndRepeat) {
    auto given = input("fisher", {{"windows", 4}, {"labels", "sampled"}});
    const std::vector<MergeTensor> tensors{{"h.1.mlp.c_fc.bias", {48}, false}};
    const auto sampled = information(given, tensors)[0][0];
    EXPECT_TRUE(same_bits(sampled, information(given, tensors)[0][0]));
    given.setting["labels"] = "data";
    EXPECT_FALSE(same_bits(sampled, information(given, tensors)[0][0]));
    // A model that is nearly certain draws what it is certain of, whose likelihood has no gradient left: only the rare
    // tokens between two near-equal logits have. Labels from anywhere else would give the data's order of magnitude.
    auto certain = std::make_shared<Parameters>(*members[0]);
    certain->set("ln_f.weight", (*certain)["ln_f.weight"] * 200);
    given.members[0] = certain;
    const auto data = information(given, tensors)[0][0].sum().item<double>();
    given.setting["labels"] = "sampled";
    EXPECT_LT(information(given, tensors)[0][0].sum().item<double>(), 1e-2 * data);
}

TEST_F(FisherMerge, MergesByInformation) {
    const auto combination = combined("fisher", {{"windows", 3}}, {1, 1, false});
    const auto windows_drawn = drawn(text, 3);
    double norms[2] = {0, 0};
    std::map<std::string, at::Tensor> own[2];
    for (int i = 0; i < 2; ++i)
        for (const auto* name : {"h.1.mlp.c_fc.weight", "h.1.mlp.c_fc.bias", "h.1.mlp.c_proj.weight", "h.1.mlp.c_proj.bias"}) {
            own[i][name] = oracle(*members[static_cast<std::size_t>(i)], name, windows_drawn);
            norms[i] += own[i][name].square().sum().item<double>();
        }
    for (const auto& [name, first] : own[0]) {
        const auto a = (first / std::sqrt(norms[0])).clamp_min(1e-6), b = (own[1][name] / std::sqrt(norms[1])).clamp_min(1e-6);
        EXPECT_TRUE(near((*combination.merged)[name], (a * (*members[0])[name] + b * (*members[1])[name]) / (a + b), 1e-4)) << name;
    }
    EXPECT_TRUE((*combination.merged)["h.2.mlp.c_fc.weight"].is_same((*members[0])["h.2.mlp.c_fc.weight"]));
    EXPECT_TRUE(combination.curve.loss.empty());
    EXPECT_EQ(combination.predictor->cost(kContext).target_tokens, 2 * 3 * kContext);  // both members' own text is the target's here
    const auto other = make_split(scratch.path(), 1500, 20, 4);
    auto given = input("fisher", {{"windows", 3}});
    given.training_text = {&other, &text};
    EXPECT_EQ(combine(given).predictor->cost(kContext).target_tokens, 3 * kContext);
    EXPECT_EQ(combine(given).predictor->cost(kContext).trained, 0);
}

TEST_F(FisherMerge, KeepsWhatItClaims) {
    const nlohmann::json quick{{"windows", 2}};
    EXPECT_TRUE(same_bits(losses(combined("fisher", {{"windows", 2}, {"alpha", 1.0}})), losses(members[0])));
    EXPECT_TRUE(same_bits(losses(combined("fisher", {{"windows", 2}, {"alpha", 0.0}})), losses(members[1])));
    const auto forward_order = losses(combined("fisher", quick));
    std::swap(members[0], members[1]);
    EXPECT_TRUE(near(losses(combined("fisher", quick)), forward_order));
    members = {members[0], members[0], members[0]};
    EXPECT_TRUE(near(losses(combined("fisher", quick)), losses(members[0])));
}

}  // namespace
}  // namespace cmsweep
