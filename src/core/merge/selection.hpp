#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

// The k largest of very many values, exactly, in two passes over them and without storing or sorting them.
namespace cmsweep {

/// Orders values >= 0 as the values themselves; the sign bit is ignored.
inline std::uint32_t magnitude_key(float value) { return std::bit_cast<std::uint32_t>(value) & 0x7fffffffU; }

/// What is kept: every key above `key`, and of those equal to it the first `equal_kept` in order.
struct Threshold {
    std::uint32_t key = 0;
    std::uint64_t equal_kept = 0;
    std::uint64_t equal = 0;  ///< keys equal to `key`

    /// Order does not matter: all equal keys are kept, or they are zeros, which keep or drop alike.
    bool simple() const { return equal_kept == equal || key == 0; }
};

/// Goes through keys in order and says which are kept.
class Keeper {
public:
    explicit Keeper(const Threshold& threshold) : key_(threshold.key), left_(threshold.equal_kept) {}
    bool keeps(std::uint32_t key) {
        if (key != key_) return key > key_;
        if (left_ == 0) return false;
        --left_;
        return true;
    }

private:
    std::uint32_t key_;
    std::uint64_t left_;
};

/// Radix selection: a histogram of the keys' upper halves finds the bin in which the threshold lies, one of the lower
/// halves in that bin the threshold itself. `keys` may be fed in pieces; each pass must see all of them.
class LargestSelection {
public:
    explicit LargestSelection(std::uint64_t keep) : keep_(keep), counts_(1 << 16) {}

    void first_pass(std::uint32_t key) { ++counts_[key >> 16]; }
    void between_passes() {
        upper_ = find_bin();
        counts_.assign(1 << 16, 0);
    }
    void second_pass(std::uint32_t key) {
        if (key >> 16 == upper_) ++counts_[key & 0xffffU];
    }
    Threshold threshold() {
        const std::uint32_t lower = find_bin();
        if (all_) return {0, std::numeric_limits<std::uint64_t>::max(), std::numeric_limits<std::uint64_t>::max()};
        return {upper_ << 16 | lower, keep_, counts_[lower]};
    }

private:
    /// The bin that holds the keep_-th largest key; keep_ becomes its rank inside the bin.
    std::uint32_t find_bin() {
        for (std::uint32_t bin = 1 << 16; bin-- > 0;) {
            if (counts_[bin] >= keep_) return bin;
            keep_ -= counts_[bin];
        }
        all_ = true;  // fewer keys than were to be kept
        return 0;
    }

    std::uint64_t keep_;
    std::vector<std::uint64_t> counts_;
    std::uint32_t upper_ = 0;
    bool all_ = false;
};

/// `for_each(visit)` calls visit(key) for all keys in order, the same each time it is called.
template <typename ForEach>
Threshold select_largest(std::uint64_t keep, ForEach&& for_each) {
    if (keep == 0) return {std::numeric_limits<std::uint32_t>::max(), 0, 0};
    LargestSelection selection(keep);
    for_each([&](std::uint32_t key) { selection.first_pass(key); });
    selection.between_passes();
    for_each([&](std::uint32_t key) { selection.second_pass(key); });
    return selection.threshold();
}

/// floor(share * count) that rounding cannot push below a whole number: 0.29 of 100 is 29.
inline std::uint64_t share_of(double share, std::uint64_t count) {
    return static_cast<std::uint64_t>(std::floor(share * static_cast<double>(count) * (1 + 1e-12)));
}

}  // namespace cmsweep
