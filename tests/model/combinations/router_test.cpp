#include "router.hpp"

#include <cmath>

#include "combination_case.hpp"

namespace cmsweep {
namespace {

const nlohmann::json kLinear{{"router", "linear"}, {"init", "kaiming"}};
const nlohmann::json kHidden{{"router", "mlp"}, {"hidden", 5}, {"init", "kaiming"}};

TEST(KeepTop, KeepsTheLargestAtTheirProbabilities) {
    const auto p = at::tensor({0.1f, 0.4f, 0.2f, 0.3f}).view({1, 4});
    const auto two = keep_top(p, 2, false);
    EXPECT_TRUE(same_bits(two.weights, at::tensor({0.f, 0.4f, 0.f, 0.3f}).view({1, 4})));
    EXPECT_TRUE(near(keep_top(p, 2, true).weights, at::tensor({0.f, 4.f / 7, 0.f, 3.f / 7}).view({1, 4}), 1e-7));
    EXPECT_TRUE(same_bits(keep_top(p, 1, true).weights, at::tensor({0.f, 1.f, 0.f, 0.f}).view({1, 4})));
    EXPECT_TRUE(same_bits(keep_top(p, 4, true).weights, p));
    EXPECT_FALSE(keep_top(p, 4, false).kept.defined());
}

TEST(KeepTop, TiesGoToTheLowestIndex) {
    const auto p = at::full({50, 6}, 1.0 / 6);
    const auto kept = keep_top(p, 2, false).kept;
    EXPECT_TRUE(kept.narrow(1, 0, 2).all().item<bool>());
    EXPECT_EQ(kept.sum().item<std::int64_t>(), 100);
}

TEST(KeepTop, ASingleRenormalisedExpertStillTeachesTheRouter) {
    auto scores = at::tensor({0.3, 0.1, -0.2}).to(at::kDouble).requires_grad_(true);
    const auto p = at::softmax(scores, -1);
    keep_top(p, 1, true).weights.sum().backward();
    // d/ds of p_0 / constant, at constant = p_0: e_0 - p
    EXPECT_TRUE(near(scores.grad(), at::tensor({1., 0., 0.}, at::kDouble) - p.detach(), 1e-12));
}

/// Loss of a mixture of fixed outputs, in float64.
double mixture_loss(const Router& router, const at::Tensor& x, const at::Tensor& outputs, std::int64_t keep, bool renormalise) {
    return (keep_top(router.probabilities(x), keep, renormalise).weights * outputs).sum().tanh().item<double>();
}

TEST(RouterGradient, EqualsFiniteDifferencesInDoublePrecision) {
    const auto x = at::sin(at::arange(4 * 6, at::kDouble)).view({4, 6});
    const auto outputs = 0.3 * at::cos(at::arange(4 * 3, at::kDouble)).view({4, 3});
    for (const auto& setting : {kLinear, kHidden})
        for (const auto& [keep, renormalise] : {std::pair{3, false}, {2, false}, {2, true}, {1, false}}) {
            const Router router("h.0.router", 6, {"a", "b", "c"}, setting, 3, torch::kCPU);
            for (const auto& tensor : router.tensors()) tensor.set_data(tensor.to(at::kDouble)), tensor.requires_grad_(true);
            (keep_top(router.probabilities(x), keep, renormalise).weights * outputs).sum().tanh().backward();
            const at::NoGradGuard no_grad;
            for (const auto& tensor : router.tensors()) {
                auto* values = tensor.data_ptr<double>();
                const auto gradient = tensor.grad().contiguous();
                EXPECT_GT(gradient.abs().max().item<double>(), 1e-4);
                for (std::int64_t i = 0; i < tensor.numel(); ++i) {
                    // The step's own error is about 1e-10 (its square, and rounding over the step).
                    constexpr double kStep = 1e-5;
                    const double kept_value = values[i];
                    values[i] = kept_value + kStep;
                    const double above = mixture_loss(router, x, outputs, keep, renormalise);
                    values[i] = kept_value - kStep;
                    const double below = mixture_loss(router, x, outputs, keep, renormalise);
                    values[i] = kept_value;
                    EXPECT_NEAR(gradient.data_ptr<double>()[i], (above - below) / (2 * kStep), 1e-8);
                }
            }
        }
}

TEST(Router, KaimingIsUniformWithinItsBound) {
    const Router router("h.0.router", 600, std::vector<std::string>(20, "expert"), kLinear, 1, torch::kCPU);
    const auto weight = router.tensors()[0];
    EXPECT_EQ(weight.sizes(), (at::IntArrayRef{20, 600}));
    const double bound = std::sqrt(6.0 / 600);
    EXPECT_LE(weight.abs().max().item<double>(), bound);
    EXPECT_GT(weight.abs().max().item<double>(), 0.99 * bound);
    // 600 different values a row (the rows are equal by their name): variance bound^2 / 3 within 4 standard errors
    EXPECT_NEAR(weight[0].square().mean().item<double>(), bound * bound / 3, 4 * bound * bound * 0.298 / std::sqrt(600.0));
}

TEST(Router, AnExpertStartsFromTheSameRowWhateverTheOthers) {
    const Router few("h.0.router", 12, {"a", "b"}, kLinear, 1, torch::kCPU), more("h.0.router", 12, {"a", "base", "b", "c"}, kLinear, 1, torch::kCPU);
    EXPECT_TRUE(same_bits(few.tensors()[0][0], more.tensors()[0][0]));
    EXPECT_TRUE(same_bits(few.tensors()[0][1], more.tensors()[0][2]));
    const Router other_seed("h.0.router", 12, {"a", "b"}, kLinear, 2, torch::kCPU), other_block("h.1.router", 12, {"a", "b"}, kLinear, 1, torch::kCPU);
    EXPECT_FALSE(same_bits(few.tensors()[0], other_seed.tensors()[0]));
    EXPECT_FALSE(same_bits(few.tensors()[0], other_block.tensors()[0]));
}

TEST(Router, ZeroMixesUniformly) {
    for (auto setting : {kLinear, kHidden}) {
        setting["init"] = "zero";
        const Router router("h.0.router", 12, {"a", "b", "c", "d"}, setting, 1, torch::kCPU);
        EXPECT_TRUE(same_bits(router.probabilities(at::ones({2, 12})), at::full({2, 4}, 0.25)));
    }
}

TEST(Router, OneHiddenLayerIsLinearReluLinear) {
    const Router router("h.0.router", 12, {"a", "b", "c"}, kHidden, 1, torch::kCPU);
    const auto& w = router.tensors();
    ASSERT_EQ(w.size(), 2u);
    EXPECT_EQ(router.scalars(), 5 * 12 + 3 * 5);
    EXPECT_EQ(router.flops(), 2 * (5 * 12 + 3 * 5));
    const auto x = at::sin(at::arange(24, at::kFloat)).view({2, 12});
    EXPECT_TRUE(near(router.probabilities(x), at::softmax(at::matmul(at::matmul(x, w[0].t()).clamp_min(0), w[1].t()), -1), 1e-6));
}

}  // namespace
}  // namespace cmsweep
