#include "blocks.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

void expo(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double factor = 1 + input.setting.at("extrapolation").get<double>();
    auto coefficients = relative_weights(input.weights);
    for (double& coefficient : coefficients) coefficient *= factor / static_cast<double>(coefficients.size());
    const PlainTau plain(input);
    merge_by_sum(input, plain, coefficients, out);
}

}  // namespace

MethodInfo expo_method() {
    MethodInfo method;
    method.name = "expo";
    method.family = Family::parameter;
    method.parameters = {
        parameter::real("extrapolation", 0, 100, 0.3,
                        "how far to go on from the base beyond the members' average; the paper's alpha"),
        parameter::weights(),
    };
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "The members' average, moved further away from the base: average + extrapolation * (average - base).";
    method.source =
        "Zheng et al. 2024, Model extrapolation expedites alignment (arXiv:2404.16792), equation 1, of an average";
    method.merge = expo;
    return method;
}

}  // namespace cmsweep
