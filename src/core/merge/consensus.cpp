#include "consensus.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

namespace cmsweep {
namespace {

// Where nothing agrees the sum is 0; a bound instead of a condition leaves the division to several entries at once.
constexpr float kAboveZero = std::numeric_limits<float>::min();

/// A block of one member's task vector and the member's weight.
struct Vote {
    const float* values;
    float weight;
};

/// The rule's numbers; what does not change in a loop is local, so that the compiler need not fear that the loop writes it.
struct Terms {
    float at_zero, lambda;
    bool mean;

    template <typename T>
    float sign(T sum) const { return sum > 0 ? 1.0f : sum < 0 ? -1.0f : at_zero; }
};

/// The weight or 0, by a mask instead of a condition: the compiler would follow its branches through the sums instead of
/// working on several entries at once.
float agreeing(float value, float sign, float weight) {
    const auto agrees = static_cast<std::uint32_t>(-static_cast<std::int32_t>(value * sign > 0));
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(weight) & agrees);
}

using Numbers = std::array<float, kBlock>;

void write(const Numbers& sum, const Numbers& weight_sum, const Terms terms, std::size_t count, float* delta) {
    if (terms.mean) {
        for (std::size_t e = 0; e < count; ++e) delta[e] = terms.lambda * (sum[e] / std::max(weight_sum[e], kAboveZero));
    } else {
        for (std::size_t e = 0; e < count; ++e) delta[e] = terms.lambda * sum[e];
    }
}

/// Two members of equal weight, the usual case, in fewer steps: the bits of of_all(), since the sign of a float sum of two is exact.
void of_two(const Vote& first, const Vote& second, const Terms terms, std::size_t count, float* delta) {
    const float *a = first.values, *b = second.values;
    const float of_a = first.weight, of_b = second.weight;
    Numbers sum, weight_sum, sign;
    for (std::size_t e = 0; e < count; ++e) sign[e] = terms.sign(of_a * a[e] + of_b * b[e]);
    for (std::size_t e = 0; e < count; ++e) {
        const float agrees_a = agreeing(a[e], sign[e], of_a), agrees_b = agreeing(b[e], sign[e], of_b);
        sum[e] = agrees_a * a[e] + agrees_b * b[e];
        weight_sum[e] = agrees_a + agrees_b;
    }
    write(sum, weight_sum, terms, count, delta);
}

void of_all(const std::vector<Vote>& votes, const Terms terms, std::size_t count, float* delta) {
    // In double, where products of floats are exact: rounding must not elect, and not by the order of the members.
    std::array<double, kBlock> votes_sum{};
    for (const auto [values, weight] : votes)
        for (std::size_t e = 0; e < count; ++e) votes_sum[e] += static_cast<double>(weight) * static_cast<double>(values[e]);
    Numbers sum{}, weight_sum{}, sign;
    for (std::size_t e = 0; e < count; ++e) sign[e] = terms.sign(votes_sum[e]);
    for (const auto [values, weight] : votes) {
        for (std::size_t e = 0; e < count; ++e) {
            const float agrees = agreeing(values[e], sign[e], weight);
            sum[e] += agrees * values[e];
            weight_sum[e] += agrees;
        }
    }
    write(sum, weight_sum, terms, count, delta);
}

}  // namespace

void merge_by_consensus(const ParameterMergeInput& input, const TauSource& source, const ConsensusRule& rule,
                        std::span<const std::span<float>> out) {
    const auto weights = relative_weights(input.weights);
    const Terms terms{rule.zero_is_positive ? 1.0f : 0.0f, static_cast<float>(rule.lambda), rule.mean};
    std::vector<Vote> votes;
    merge_task_vectors<float>(input, source, out, [&](const TauBlock& tau, std::size_t count, float* delta) {
        votes.clear();
        for (std::size_t i = 0; i < tau.size(); ++i)
            if (weights[i] != 0) votes.push_back({tau[i].data(), static_cast<float>(weights[i])});
        if (votes.size() == 2 && votes[0].weight == votes[1].weight)
            of_two(votes[0], votes[1], terms, count, delta);
        else
            of_all(votes, terms, count, delta);
    });
}

}  // namespace cmsweep
