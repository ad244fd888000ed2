#include <algorithm>
#include <array>
#include <numeric>

#include "cmsweep/core/merge/weights.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

/// Members with a weight, and their weights divided by the sum.
struct Share {
    std::size_t member;
    double weight;
};

std::vector<Share> shares(std::span<const double> weights) {
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<Share> kept;
    for (std::size_t i = 0; i < weights.size(); ++i) {
        if (weights[i] != 0) kept.push_back({i, weights[i] / sum});
    }
    return kept;
}

/// Sums in double, so that equal members come back bit for bit: the weights' rounding is far below half a float's step.
/// In blocks, so that the sums stay in the first-level cache.
void weighted_sum(const std::vector<Share>& kept, const std::vector<TensorValues>& members, std::size_t tensor,
                  std::span<float> out) {
    constexpr std::size_t kBlock = 1024;
    std::array<double, kBlock> sum;
    for (std::size_t start = 0; start < out.size(); start += kBlock) {
        const std::size_t count = std::min(kBlock, out.size() - start);
        const float* first = members[kept[0].member][tensor].data() + start;
        for (std::size_t i = 0; i < count; ++i) sum[i] = kept[0].weight * static_cast<double>(first[i]);
        for (std::size_t k = 1; k < kept.size(); ++k) {
            const float* values = members[kept[k].member][tensor].data() + start;
            for (std::size_t i = 0; i < count; ++i) sum[i] += kept[k].weight * static_cast<double>(values[i]);
        }
        for (std::size_t i = 0; i < count; ++i) out[start + i] = static_cast<float>(sum[i]);
    }
}

void average(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const auto kept = shares(input.weights);
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        if (kept.size() == 1) {
            std::ranges::copy(input.members[kept[0].member][tensor], out[tensor].begin());
        } else {
            weighted_sum(kept, input.members, tensor, out[tensor]);
        }
    }
}

}  // namespace

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
