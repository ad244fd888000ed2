#include "blocks.hpp"

#include <cmath>
#include <numeric>

namespace cmsweep {
namespace {

class PlainReader final : public TauReader {
public:
    PlainReader(const float* base, const float* member) : base_(base), member_(member) {}
    void next(std::span<float> out) override {
        for (std::size_t e = 0; e < out.size(); ++e) out[e] = member_[e] - base_[e];
        skip(out.size());
    }
    void skip(std::size_t count) override {
        base_ += count;
        member_ += count;
    }

private:
    const float* base_;
    const float* member_;
};

}  // namespace

void TauReader::skip(std::size_t count) {
    std::array<float, kBlock> passed;
    for_blocks(count, [&](std::size_t, std::size_t size) { next(std::span(passed).first(size)); });
}

KeySequence magnitudes(const ParameterMergeInput& input, const TauSource& source, std::size_t member, std::size_t first, std::size_t last) {
    KeySequence keys;
    for (std::size_t tensor = first; tensor < last; ++tensor) keys.sizes.push_back(input.base[tensor].size());
    keys.for_blocks = [&source, member, first, sizes = keys.sizes](std::size_t segment, std::size_t stride, const KeySequence::Visit& visit) {
        const auto reader = source.open(member, first + segment);
        std::array<float, kBlock> values;
        std::array<std::uint32_t, kBlock> block;
        for_blocks(sizes[segment], [&](std::size_t start, std::size_t count) {
            if (!is_sampled(start / kBlock, stride)) return reader->skip(count);
            reader->next(std::span(values).first(count));
            for (std::size_t e = 0; e < count; ++e) block[e] = magnitude_key(values[e]);
            visit(std::span(block).first(count));
        });
    };
    return keys;
}

std::unique_ptr<TauReader> PlainTau::open(std::size_t member, std::size_t tensor) const {
    input_.safe_point();  // every pass over a task vector begins here
    return std::make_unique<PlainReader>(input_.base[tensor].data(), input_.members[member][tensor].data());
}

void merge_by_sum(const ParameterMergeInput& input, const TauSource& source, std::span<const double> coefficients,
                  std::span<const std::span<float>> out) {
    merge_task_vectors(input, source, out, [&](const TauBlock& tau, std::size_t count, double* delta) {
        std::fill_n(delta, count, 0.0);
        for (std::size_t i = 0; i < tau.size(); ++i) {
            if (coefficients[i] == 0) continue;
            for (std::size_t e = 0; e < count; ++e) delta[e] += coefficients[i] * static_cast<double>(tau[i][e]);
        }
    });
}

double l1_ratio(TauReader& all, TauReader& kept, std::size_t size) {
    std::array<float, kBlock> block;
    double before = 0, after = 0;
    for_blocks(size, [&](std::size_t, std::size_t count) {
        const auto values = std::span(block).first(count);
        all.next(values);
        for (const float value : values) before += std::abs(static_cast<double>(value));
        kept.next(values);
        for (const float value : values) after += std::abs(static_cast<double>(value));
    });
    return before > 0 && after > 0 ? before / after : 1;
}

std::vector<double> relative_weights(std::span<const double> weights) {
    const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(weights.size());
    std::vector<double> relative;
    for (const double weight : weights) relative.push_back(weight / mean);
    return relative;
}

}  // namespace cmsweep
