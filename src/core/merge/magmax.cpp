#include <cmath>

#include "blocks.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

void magmax(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double lambda = input.setting.at("lambda");
    const PlainTau plain(input);
    merge_task_vectors(input, plain, out, [&](const TauBlock& tau, std::size_t count, double* delta) {
        for (std::size_t e = 0; e < count; ++e) {
            float largest = tau[0][e];
            for (std::size_t i = 1; i < tau.size(); ++i) {
                if (std::abs(tau[i][e]) > std::abs(largest)) largest = tau[i][e];
            }
            delta[e] = lambda * static_cast<double>(largest);
        }
    });
}

}  // namespace

MethodInfo magmax_method() {
    MethodInfo method;
    method.name = "magmax";
    method.family = Family::parameter;
    method.parameters = {parameter::real("lambda", 0, 100, 0.5, "scale of the merged task vector")};
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary = "Each parameter takes the task vector of largest magnitude; equal magnitudes: the first member's.";
    method.source = "Marczak et al. 2024, MagMax (arXiv:2407.06322), section 4";
    method.merge = magmax;
    return method;
}

}  // namespace cmsweep
