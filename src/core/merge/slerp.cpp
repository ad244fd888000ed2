#include <cmath>

#include "methods.hpp"
#include "parameters.hpp"
#include "reductions.hpp"

namespace cmsweep {
namespace {

/// Nearly parallel tensors are interpolated linearly: 1 / sin(angle) would amplify rounding (Shoemake's and mergekit's
/// bound).
constexpr double kParallel = 0.9995;

struct Factors {
    double first;
    double second;
};

/// `t` is the second's share. Sets `fell_back` if the tensors are parallel or one of them is 0.
Factors slerp_factors(std::span<const float> a, std::span<const float> b, double t, bool& fell_back) {
    const auto at = [](std::span<const float> values, std::size_t e) { return static_cast<double>(values[e]); };
    const double aa = sum_of(a.size(), [&](std::size_t e) { return at(a, e) * at(a, e); });
    const double bb = sum_of(a.size(), [&](std::size_t e) { return at(b, e) * at(b, e); });
    const double ab = sum_of(a.size(), [&](std::size_t e) { return at(a, e) * at(b, e); });
    const double norms = std::sqrt(aa) * std::sqrt(bb);
    const double cosine = norms > 0 ? ab / norms : 1.0;
    fell_back = std::abs(cosine) > kParallel;
    if (fell_back) return {1 - t, t};
    const double angle = std::acos(cosine);
    return {std::sin((1 - t) * angle) / std::sin(angle), std::sin(t * angle) / std::sin(angle)};
}

void slerp(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json& notes) {
    const double t = 1 - input.weights[0] / (input.weights[0] + input.weights[1]);
    std::int64_t linear = 0;
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        const auto a = input.members[0][tensor], b = input.members[1][tensor];
        if (t == 0 || t == 1) {
            std::ranges::copy(t == 0 ? a : b, out[tensor].begin());
            continue;
        }
        bool fell_back = false;
        const Factors factors = slerp_factors(a, b, t, fell_back);
        linear += fell_back;
        for (std::size_t e = 0; e < a.size(); ++e) {
            out[tensor][e] = static_cast<float>(factors.first * static_cast<double>(a[e]) +
                                                factors.second * static_cast<double>(b[e]));
        }
    }
    notes["linear_tensors"] = linear;
}

}  // namespace

MethodInfo slerp_method() {
    MethodInfo method;
    method.name = "slerp";
    method.family = Family::parameter;
    method.parameters = {parameter::alpha()};
    method.least_members = method.most_members = 2;
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary =
        "Spherical interpolation of two members, each tensor as one vector; nearly parallel tensors linearly.";
    method.source = "Shoemake 1985, Animating rotation with quaternion curves; per tensor as in mergekit's slerp";
    method.merge = slerp;
    return method;
}

}  // namespace cmsweep
