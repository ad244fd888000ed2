#include <algorithm>
#include <cmath>

#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

void nearswap(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double t = input.setting.at("t");
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        const auto a = input.members[0][tensor], b = input.members[1][tensor];
        for (std::size_t e = 0; e < a.size(); ++e) {
            const double first = static_cast<double>(a[e]), second = static_cast<double>(b[e]);
            const double distance = std::abs(first - second);
            // Where t / distance is 1 or more the second member's value is taken as it is.
            out[tensor][e] = distance <= t ? b[e] : static_cast<float>(first + t / distance * (second - first));
        }
    }
}

}  // namespace

MethodInfo nearswap_method() {
    MethodInfo method;
    method.name = "nearswap";
    method.family = Family::parameter;
    method.parameters = {parameter::real_above("t", 0, 100, 1e-4,
                                               "distance up to which the second member's value replaces the first's")};
    method.least_members = method.most_members = 2;
    method.identities = {"equal_members"};
    method.summary = "The first member, moved to the second by at most t in each parameter.";
    method.source = "alchemonaut 2024, QuartetAnemoi-70B-t0.0001 (model card), as in mergekit's nearswap";
    method.merge = nearswap;
    return method;
}

}  // namespace cmsweep
