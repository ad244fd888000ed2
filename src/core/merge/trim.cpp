#include "trim.hpp"

#include <algorithm>

namespace cmsweep {
namespace {

constexpr std::uint32_t kLargestMagnitude = 0x7fffffff;  // a threshold above keeps nothing

class TrimReader final : public TauReader {
public:
    TrimReader(std::unique_ptr<TauReader> reader, const Threshold& threshold)
        : reader_(std::move(reader)), threshold_(threshold), keeper_(threshold) {}
    void next(std::span<float> out) override {
        reader_->next(out);
        // Only where some of several equal magnitudes are kept does their order matter. Signed, as SSE2 compares integers.
        const auto least = static_cast<std::int32_t>(threshold_.key);
        std::int32_t equal = 0;
        if (!threshold_.simple())
            for (const float value : out) equal += static_cast<std::int32_t>(magnitude_key(value)) == least;
        if (equal > 0 || threshold_.key > kLargestMagnitude) {
            for (float& value : out) value = keeper_.keeps(magnitude_key(value)) ? value : 0.0f;
        } else {
            for (float& value : out) value = static_cast<std::int32_t>(magnitude_key(value)) >= least ? value : 0.0f;
        }
    }

private:
    std::unique_ptr<TauReader> reader_;
    Threshold threshold_;
    Keeper keeper_;
};

}  // namespace

MagnitudeTrim::MagnitudeTrim(const ParameterMergeInput& input, const TauSource& source, double density, Scope scope)
    : source_(source), thresholds_(input.members.size(), std::vector<Threshold>(input.tensors.size())) {
    const std::size_t tensors = input.tensors.size();
    const std::size_t step = scope == Scope::model ? tensors : 1;
    for (std::size_t member = 0; member < input.members.size(); ++member) {
        for (std::size_t first = 0; first < tensors; first += step) {
            std::uint64_t elements = 0;
            for (std::size_t tensor = first; tensor < first + step; ++tensor) elements += input.base[tensor].size();
            const auto found = select_largest(share_of(density, elements), magnitudes(input, source, member, first, first + step));
            std::copy(found.begin(), found.end(), thresholds_[member].begin() + static_cast<std::ptrdiff_t>(first));
        }
    }
}

std::unique_ptr<TauReader> MagnitudeTrim::open(std::size_t member, std::size_t tensor) const {
    return std::make_unique<TrimReader>(source_.open(member, tensor), thresholds_[member][tensor]);
}

}  // namespace cmsweep
