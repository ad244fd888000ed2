#include "consensus.hpp"

namespace cmsweep {

void merge_by_consensus(const ParameterMergeInput& input, const TauSource& source, const ConsensusRule& rule,
                        std::span<const std::span<float>> out) {
    const auto weights = relative_weights(input.weights);
    std::array<double, kBlock> sum, weight_sum, sign;
    merge_task_vectors(input, source, out, [&](const TauBlock& tau, std::size_t count, double* delta) {
        std::fill_n(sum.begin(), count, 0.0);
        for (std::size_t i = 0; i < tau.size(); ++i) {
            if (weights[i] == 0) continue;
            for (std::size_t e = 0; e < count; ++e) sum[e] += weights[i] * static_cast<double>(tau[i][e]);
        }
        const double at_zero = rule.zero_is_positive ? 1.0 : 0.0;
        for (std::size_t e = 0; e < count; ++e) sign[e] = sum[e] > 0 ? 1.0 : sum[e] < 0 ? -1.0 : at_zero;
        std::fill_n(sum.begin(), count, 0.0);
        std::fill_n(weight_sum.begin(), count, 0.0);
        for (std::size_t i = 0; i < tau.size(); ++i) {
            if (weights[i] == 0) continue;
            for (std::size_t e = 0; e < count; ++e) {
                const double value = static_cast<double>(tau[i][e]);
                const double agrees = value * sign[e] > 0 ? weights[i] : 0.0;
                sum[e] += agrees * value;
                weight_sum[e] += agrees;
            }
        }
        for (std::size_t e = 0; e < count; ++e) {
            const double divisor = rule.mean && weight_sum[e] > 0 ? weight_sum[e] : 1.0;
            delta[e] = rule.lambda * (sum[e] / divisor);
        }
    });
}

}  // namespace cmsweep
