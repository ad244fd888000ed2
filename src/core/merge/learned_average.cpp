#include <array>

#include "blocks.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

/// theta_0 + Sum coefficient x tau with a coefficient of its own for every member and tensor.
void learned_average(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    for (std::size_t tensor = 0; tensor < out.size(); ++tensor) {
        input.safe_point();
        for_blocks(out[tensor].size(), [&](std::size_t start, std::size_t count) {
            std::array<double, kBlock> sum;
            const float* base = input.base[tensor].data() + start;
            for (std::size_t e = 0; e < count; ++e) sum[e] = double{base[e]};
            for (std::size_t i = 0; i < input.members.size(); ++i) {
                const double coefficient = double{input.statistics[i][tensor][0]};
                const float* values = input.members[i][tensor].data() + start;
                for (std::size_t e = 0; e < count; ++e) sum[e] += coefficient * (double{values[e]} - double{base[e]});
            }
            for (std::size_t e = 0; e < count; ++e) out[tensor][start + e] = static_cast<float>(sum[e]);
        });
    }
}

}  // namespace

MethodInfo learned_average_method() {
    MethodInfo method;
    method.name = "learned_average";
    method.family = Family::parameter;
    method.parameters = {
        parameter::choice("per", {"block", "tensor"}, "block", "a coefficient for each member and block, or tensor"),
        parameter::choice("objective", {"loss", "entropy"}, "entropy",
                          "what the coefficients minimise: the loss, or the entropy of the predictions"),
        parameter::real("init", -parameter::kInfinity, parameter::kInfinity, 0.3, "every coefficient's start"),
        parameter::train_on("target"),
        parameter::integer("steps", 0, parameter::kMaxSteps, 500, "training steps; 0: untrained"),
        parameter::integer("batch", 1, 1 << 20, 16, "windows a step"),
        parameter::real_above("learning_rate", 0, 1000, 1e-3, "Adam's, falling by a cosine to 10 %"),
    };
    method.needs_base = true;
    method.needs_text = true;
    method.draws = true;
    method.identities = {"symmetric", "base"};
    method.summary = "The base plus the members' task vectors, with coefficients per block that are trained.";
    method.source = "Yang et al. 2024, AdaMerging (arXiv:2310.02575)";
    method.merge = learned_average;
    return method;
}

}  // namespace cmsweep
