#include "trim.hpp"

namespace cmsweep {
namespace {

class TrimReader final : public TauReader {
public:
    TrimReader(std::unique_ptr<TauReader> reader, const Threshold& threshold)
        : reader_(std::move(reader)), threshold_(threshold), keeper_(threshold) {}
    void next(std::span<float> out) override {
        reader_->next(out);
        if (threshold_.simple()) {
            for (float& value : out) value = magnitude_key(value) >= threshold_.key ? value : 0.0f;
        } else {
            for (float& value : out) value = keeper_.keeps(magnitude_key(value)) ? value : 0.0f;
        }
    }

private:
    std::unique_ptr<TauReader> reader_;
    Threshold threshold_;
    Keeper keeper_;
};

/// Calls visit(key) for the elements of one member in `tensors` [first, last).
template <typename Visit>
void visit_keys(const ParameterMergeInput& input, const TauSource& source, std::size_t member, std::size_t first,
                std::size_t last, Visit&& visit) {
    std::array<float, kBlock> block;
    for (std::size_t tensor = first; tensor < last; ++tensor) {
        const auto reader = source.open(member, tensor);
        for_blocks(input.base[tensor].size(), [&](std::size_t, std::size_t count) {
            reader->next(std::span(block).first(count));
            for (std::size_t e = 0; e < count; ++e) visit(magnitude_key(block[e]));
        });
    }
}

}  // namespace

MagnitudeTrim::MagnitudeTrim(const ParameterMergeInput& input, const TauSource& source, double density, Scope scope)
    : source_(source), thresholds_(input.members.size(), std::vector<Threshold>(input.tensors.size())) {
    const std::size_t tensors = input.tensors.size();
    const std::size_t step = scope == Scope::model ? tensors : 1;
    for (std::size_t member = 0; member < input.members.size(); ++member) {
        for (std::size_t first = 0; first < tensors; first += step) {
            std::uint64_t elements = 0;
            for (std::size_t tensor = first; tensor < first + step; ++tensor) elements += input.base[tensor].size();
            const Threshold all = select_largest(share_of(density, elements), [&](auto&& visit) {
                visit_keys(input, source, member, first, first + step, visit);
            });
            std::uint64_t left = all.equal_kept;
            for (std::size_t tensor = first; tensor < first + step; ++tensor) {
                Threshold& threshold = thresholds_[member][tensor];
                threshold = all;
                if (all.simple()) continue;
                // Some of several equal magnitudes are kept, the first ones: each tensor needs its own share of them.
                threshold.equal = 0;
                visit_keys(input, source, member, tensor, tensor + 1,
                           [&](std::uint32_t key) { threshold.equal += key == all.key; });
                threshold.equal_kept = std::min(left, threshold.equal);
                left -= threshold.equal_kept;
            }
        }
    }
}

std::unique_ptr<TauReader> MagnitudeTrim::open(std::size_t member, std::size_t tensor) const {
    return std::make_unique<TrimReader>(source_.open(member, tensor), thresholds_[member][tensor]);
}

}  // namespace cmsweep
