#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "cmsweep/core/merge/method.hpp"
#include "selection.hpp"

// Merging in blocks: whatever a method needs besides its inputs and its output stays in the first-level cache.
namespace cmsweep {

inline constexpr std::size_t kBlock = 256;

/// Calls f(start, count) for consecutive pieces of 0 … size-1, each of at most kBlock elements.
template <typename Function>
void for_blocks(std::size_t size, Function&& f) {
    for (std::size_t start = 0; start < size; start += kBlock) f(start, std::min(kBlock, size - start));
}

/// The values of one task vector in one tensor, in storage order.
class TauReader {
public:
    virtual ~TauReader() = default;
    /// The next out.size() values.
    virtual void next(std::span<float> out) = 0;
    /// Passes over the next `count` values.
    virtual void skip(std::size_t count);
};

/// Task vectors that can be read any number of times; every reader of one (member, tensor) gives the same values.
class TauSource {
public:
    virtual ~TauSource() = default;
    virtual std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const = 0;
};

/// theta_i - theta_0 as float32.
class PlainTau final : public TauSource {
public:
    explicit PlainTau(const ParameterMergeInput& input) : input_(input) {}
    std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const override;

private:
    const ParameterMergeInput& input_;
};

/// One block of every member's task vector: tau[i][e].
using TauBlock = std::vector<std::array<float, kBlock>>;

/// out = theta_0 + delta, where rule(tau, count, delta) writes `count` numbers of delta from a block of task vectors: doubles,
/// or floats where a rule is as exact as the task vectors, which are float32.
template <typename Real = double, typename Rule>
void merge_task_vectors(const ParameterMergeInput& input, const TauSource& source,
                        std::span<const std::span<float>> out, Rule&& rule) {
    TauBlock tau(input.members.size());
    std::array<Real, kBlock> delta;
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        std::vector<std::unique_ptr<TauReader>> readers;
        for (std::size_t i = 0; i < input.members.size(); ++i) readers.push_back(source.open(i, tensor));
        for_blocks(out[tensor].size(), [&](std::size_t start, std::size_t count) {
            for (std::size_t i = 0; i < readers.size(); ++i) readers[i]->next(std::span(tau[i]).first(count));
            rule(tau, count, delta.data());
            const float* base = input.base[tensor].data() + start;
            float* merged = out[tensor].data() + start;
            for (std::size_t e = 0; e < count; ++e)
                merged[e] = static_cast<float>(static_cast<Real>(base[e]) + delta[e]);
        });
    }
}

/// out = theta_0 + sum of coefficients[i] x tau_i; members with coefficient 0 are skipped.
void merge_by_sum(const ParameterMergeInput& input, const TauSource& source, std::span<const double> coefficients,
                  std::span<const std::span<float>> out);

/// Magnitudes of a member's task vector in `tensors` [first, last), a segment each. `source` must outlive the result.
KeySequence magnitudes(const ParameterMergeInput& input, const TauSource& source, std::size_t member, std::size_t first, std::size_t last);

/// L1 norm of what `all` reads over that of what `kept` reads, both of `size` values; 1 where either is 0.
double l1_ratio(TauReader& all, TauReader& kept, std::size_t size);

/// Weights scaled to a mean of 1, so that equal weights leave a method as its paper defines it.
std::vector<double> relative_weights(std::span<const double> weights);

}  // namespace cmsweep
