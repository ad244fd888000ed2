#pragma once

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

// The k largest of very many values, exactly, without storing or sorting them.
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

inline std::uint64_t hashed(std::uint64_t number) { return number * 0x9e3779b97f4a7c15U >> 32; }

inline constexpr std::size_t kSampleStride = 16;  ///< one of so many blocks is sampled

/// One block of `stride` or so: by a hash of its place, since rows and columns of weights lie at regular distances.
inline bool is_sampled(std::size_t block, std::size_t stride) { return hashed(block) % stride == 0; }

/// A sequence of keys of at most 31 bits in segments (tensors), which can be gone through again and again.
struct KeySequence {
    using Visit = std::function<void(std::span<const std::uint32_t> keys)>;
    std::vector<std::uint64_t> sizes;  ///< keys of each segment
    /// Calls visit(block) for the blocks of one segment in order; only for those with is_sampled(index of the block, stride).
    std::function<void(std::size_t segment, std::size_t stride, const Visit& visit)> for_blocks;
};

/// The threshold that keeps the `keep` largest keys of all segments together, shared out to the segments in order.
/// One pass: a sample of the blocks brackets the threshold, and the few keys inside the bracket are held. Should the bracket
/// miss, or hold too many keys (equal ones), a radix selection over the upper and the lower halves of the keys takes over.
/// Memory: about an eighth of the keys at most, far less as a rule.
std::vector<Threshold> select_largest(std::uint64_t keep, const KeySequence& keys);

/// floor(share * count) that rounding cannot push below a whole number: 0.29 of 100 is 29.
inline std::uint64_t share_of(double share, std::uint64_t count) {
    return static_cast<std::uint64_t>(std::floor(share * static_cast<double>(count) * (1 + 1e-12)));
}

}  // namespace cmsweep
