#include "cmsweep/base/error.hpp"
#include "combination_case.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

class RegMeanMerge : public CombinationCase {};

TEST_F(RegMeanMerge, GramMatricesAreMeansOverTheTokensOfEachMembersText) {
    const auto other = make_split(scratch.path(), 1500, 20, 4);
    auto given = input("regmean", {{"windows", 300}});  // more than one batch of 256
    given.training_text = {&text, &other};
    TrainingCurve curve;
    std::int64_t trained = 0, target_tokens = 0;
    const std::vector<MergeTensor> tensors{{"h.1.mlp.c_fc.weight", {12, 48}, true},
                                           {"h.1.mlp.c_proj.weight", {48, 12}, true},
                                           {"h.1.attn.c_attn.weight", {12, 36}, true},
                                           {"h.1.attn.c_proj.weight", {12, 12}, true},
                                           {"h.1.mlp.c_proj.bias", {12}, false}};
    const auto found = input_grams({given, tensors, curve, trained, target_tokens});
    const StoredSplit* const splits[] = {&text, &other};
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < 2; ++i) {
        const auto& member = *members[i];
        WindowSampler sampler({{splits[i], 1.0}}, kContext, 1, 7, "regmean_batches", "");
        std::vector<at::Tensor> all;
        for (int w = 0; w < 300; ++w) all.push_back(sampler.next(torch::kCPU));
        const auto before = run_blocks(member, embed(member, at::cat(all).narrow(1, 0, kContext)), 0, 1);
        const auto gram = [](const at::Tensor& x) {
            const auto rows = x.reshape({-1, x.size(-1)}).to(at::kDouble);
            return (at::mm(rows.t(), rows) / static_cast<double>(rows.size(0))).to(at::kFloat);
        };
        at::Tensor normed;
        ForwardHooks hooks;
        hooks.mlp = [&](std::int64_t block, const at::Tensor& x) {
            normed = x;
            return run_mlp(member, block, x);
        };
        run_block(member, 1, before, hooks);
        EXPECT_TRUE(near(found[i][0], gram(normed), 1e-4));
        const auto hidden = at::gelu(at::matmul(normed, member["h.1.mlp.c_fc.weight"]) + member["h.1.mlp.c_fc.bias"]);
        EXPECT_TRUE(near(found[i][1], gram(hidden), 1e-4));
        EXPECT_TRUE(near(found[i][2], gram(at::layer_norm(before, {12}, member["h.1.ln_1.weight"], member["h.1.ln_1.bias"])), 1e-4));
        // The attention's last input is seen through its output: with the identity for that map, what it adds is its input.
        auto open = member;
        open.set("h.1.attn.c_proj.weight", at::eye(12));
        open.set("h.1.attn.c_proj.bias", at::zeros({12}));
        ForwardHooks nothing;
        nothing.mlp = [](std::int64_t, const at::Tensor& x) { return at::zeros_like(x); };
        EXPECT_TRUE(near(found[i][3], gram(run_block(open, 1, before, nothing) - before), 1e-4));
        EXPECT_EQ(found[i][4].numel(), 0);
    }
}

TEST_F(RegMeanMerge, FitsTheMembersOutputsBetterThanTheirAverageDoes) {
    const auto loss = [&](const Combination& combination) {
        // Squared distance of block 1's first map to each member's, on that member's own inputs.
        const at::NoGradGuard no_grad;
        double sum = 0;
        for (const auto& member : members) {
            ForwardHooks hooks;
            hooks.linear_input = [&](const std::string& name, const at::Tensor& rows) {
                if (name == "h.1.mlp.c_fc.weight") sum += at::mm(rows, (*combination.merged)[name] - (*member)[name]).square().sum().item<double>();
            };
            const auto all = gather_windows(text, std::vector<std::uint64_t>{0, 100, 200, 300, 400, 500, 600, 700}, kContext, torch::kCPU);
            forward(*member, all.narrow(1, 0, kContext), hooks);
        }
        return sum;
    };
    EXPECT_LT(loss(combined("regmean", {{"windows", 64}, {"off_diagonal", 1.0}})), loss(combined("average")));
}

TEST_F(RegMeanMerge, KeepsWhatItClaims) {
    const nlohmann::json quick{{"windows", 20}};
    const auto forward_order = losses(combined("regmean", quick));
    std::swap(members[0], members[1]);
    EXPECT_TRUE(near(losses(combined("regmean", quick)), forward_order, 1e-4));
    members = {members[0], members[0], members[0]};
    EXPECT_TRUE(near(losses(combined("regmean", quick)), losses(members[0]), 1e-4));
}

TEST_F(RegMeanMerge, TextMustBelongToTheMembers) {
    auto given = input("regmean", {{"windows", 4}});
    given.training_text = {&text, &text, &text};
    EXPECT_THROW(combine(given), InputError);
    given.training_text = {};
    EXPECT_THROW(combine(given), InputError);
}

}  // namespace
}  // namespace cmsweep
