#include "average.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "blocks.hpp"
#include "cmsweep/core/merge/weights.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

/// A member with a weight, and that weight divided by the sum of all.
struct Share {
    const float* values;
    double weight;
};

/// Sums in double, so that equal members come back bit for bit: the weights' rounding is far below half a float's step.
/// In blocks, so that the sums stay in the first-level cache.
void weighted_sum(const std::vector<Share>& kept, std::span<float> out) {
    std::array<double, kBlock> sum;
    for_blocks(out.size(), [&](std::size_t start, std::size_t count) {
        const float* first = kept[0].values + start;
        for (std::size_t e = 0; e < count; ++e) sum[e] = kept[0].weight * static_cast<double>(first[e]);
        for (std::size_t k = 1; k < kept.size(); ++k) {
            const float* values = kept[k].values + start;
            for (std::size_t e = 0; e < count; ++e) sum[e] += kept[k].weight * static_cast<double>(values[e]);
        }
        for (std::size_t e = 0; e < count; ++e) out[start + e] = static_cast<float>(sum[e]);
    });
}

void average(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        std::vector<std::span<const float>> values;
        for (const auto& member : input.members) values.push_back(member[tensor]);
        weighted_mean(input.weights, values, out[tensor]);
    }
}

}  // namespace

void weighted_mean(std::span<const double> weights, std::span<const std::span<const float>> values, std::span<float> out) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<Share> kept;
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (weights[i] != 0) kept.push_back({values[i].data(), weights[i] / sum});
    if (kept.size() == 1)
        std::copy_n(kept[0].values, out.size(), out.begin());
    else
        weighted_sum(kept, out);
}

MethodInfo average_method() {
    MethodInfo method;
    method.name = "average";
    method.family = Family::parameter;
    method.parameters = {parameter::alpha(), parameter::weights()};
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary = "The weighted mean of the members' parameters.";
    method.source = "Wortsman et al. 2022, Model soups (arXiv:2203.05482); McMahan et al. 2017";
    method.merge = average;
    return method;
}

}  // namespace cmsweep
