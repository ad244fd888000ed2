#include "consensus.hpp"

#include <algorithm>
#include <limits>

namespace cmsweep {

void merge_by_consensus(const ParameterMergeInput& input, const TauSource& source, const ConsensusRule& rule,
                        std::span<const std::span<float>> out) {
    const auto weights = relative_weights(input.weights);
    std::array<float, kBlock> sum, weight_sum, sign;
    merge_task_vectors<float>(input, source, out, [&](const TauBlock& tau, std::size_t count, float* delta) {
        // What does not change in a loop is local, so that the compiler need not fear that the loop writes it.
        const float at_zero = rule.zero_is_positive ? 1.0f : 0.0f, lambda = static_cast<float>(rule.lambda);
        std::fill_n(sum.begin(), count, 0.0f);
        for (std::size_t i = 0; i < tau.size(); ++i) {
            const float weight = static_cast<float>(weights[i]);
            if (weight == 0) continue;
            const float* values = tau[i].data();
            for (std::size_t e = 0; e < count; ++e) sum[e] += weight * values[e];
        }
        for (std::size_t e = 0; e < count; ++e) sign[e] = sum[e] > 0 ? 1.0f : sum[e] < 0 ? -1.0f : at_zero;
        std::fill_n(sum.begin(), count, 0.0f);
        std::fill_n(weight_sum.begin(), count, 0.0f);
        for (std::size_t i = 0; i < tau.size(); ++i) {
            const float weight = static_cast<float>(weights[i]);
            if (weight == 0) continue;
            const float* values = tau[i].data();
            for (std::size_t e = 0; e < count; ++e) {
                const float agrees = values[e] * sign[e] > 0 ? weight : 0.0f;
                sum[e] += agrees * values[e];
                weight_sum[e] += agrees;
            }
        }
        if (rule.mean) {
            // Where nothing agrees the sum is 0; a bound instead of a condition leaves the division to several at once.
            constexpr float kAboveZero = std::numeric_limits<float>::min();
            for (std::size_t e = 0; e < count; ++e) delta[e] = lambda * (sum[e] / std::max(weight_sum[e], kAboveZero));
        } else {
            for (std::size_t e = 0; e < count; ++e) delta[e] = lambda * sum[e];
        }
    });
}

}  // namespace cmsweep
