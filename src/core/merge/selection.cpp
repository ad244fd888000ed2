#include "selection.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <numeric>
#include <optional>

namespace cmsweep {
namespace {

constexpr std::uint32_t kLargestKey = std::numeric_limits<std::uint32_t>::max();

/// The threshold over all segments together, and in each segment how many keys equal it.
struct Found {
    Threshold threshold;
    std::vector<std::uint64_t> equal;
};

/// Two keys between which the threshold very probably lies, from a sample.
struct Bracket {
    std::int32_t low = 0, high = std::numeric_limits<std::int32_t>::max();  // keys have 31 bits
};

/// To either side five standard deviations of the sample's quantile, and half a per cent since keys of a block resemble each other.
Bracket bracket(std::vector<std::uint32_t> sample, double share) {
    const auto size = static_cast<double>(sample.size());
    const double rank = share * size, slack = 5 * std::sqrt(size * share * (1 - share)) + 0.005 * size + 8;
    auto begin = sample.begin();
    const auto at = [&](double position) {  // counted from the largest; each position behind the last one
        const auto place = sample.end() - 1 - static_cast<std::ptrdiff_t>(position);
        std::nth_element(begin, place, sample.end());
        begin = place;
        return static_cast<std::int32_t>(*place);
    };
    Bracket found;
    if (rank + slack < size) found.low = at(rank + slack);
    if (rank - slack >= 0) found.high = at(rank - slack);
    return found;
}

// Where the processor has AVX2, a version for it: whole numbers, so that no bit depends on it. Not under the sanitizers, which
// are not ready yet when the loader chooses.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CMSWEEP_ALSO_FOR_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define CMSWEEP_ALSO_FOR_AVX2
#endif

/// inside[e]: 1 if keys[e] is in [low, high], else 0. Returns how many are larger.
CMSWEEP_ALSO_FOR_AVX2
std::int32_t mark_inside(const std::uint32_t* keys, std::size_t count, std::int32_t low, std::int32_t high, std::uint8_t* inside) {
    const std::int32_t below = low - 1;  // signed, as vector units compare integers
    std::int32_t larger = 0;
    for (std::size_t e = 0; e < count; ++e) {
        const auto key = static_cast<std::int32_t>(keys[e]);
        const std::int32_t beyond = key > high;
        inside[e] = static_cast<std::uint8_t>((key > below) - beyond);
        larger += beyond;
    }
    return larger;
}

/// Keys in [low, high], in order, and how many are larger.
class Held {
public:
    explicit Held(const Bracket& bracket) : low_(bracket.low), high_(bracket.high) {}

    void add(std::span<const std::uint32_t> keys) {
        if (keys_.size() < size_ + keys.size()) keys_.resize(2 * size_ + 2 * keys.size());
        for (std::size_t start = 0; start < keys.size(); start += kTogether) add_some(keys.subspan(start, std::min(kTogether, keys.size() - start)));
    }

    std::size_t size() const { return size_; }
    std::uint64_t larger() const { return larger_; }
    std::span<const std::uint32_t> keys(std::size_t from, std::size_t to) const { return std::span(keys_).subspan(from, to - from); }

private:
    static constexpr std::size_t kTogether = 256;
    static constexpr std::size_t kWord = sizeof(std::uint64_t);

    /// Which keys lie inside is found for several at once; few do, so that most words of eight answers are 0 and passed over.
    void add_some(std::span<const std::uint32_t> keys) {
        std::array<std::uint8_t, kTogether> inside;
        larger_ += static_cast<std::uint64_t>(mark_inside(keys.data(), keys.size(), low_, high_, inside.data()));
        std::fill(inside.begin() + static_cast<std::ptrdiff_t>(keys.size()), inside.end(), std::uint8_t{0});
        std::uint32_t* place = keys_.data() + size_;
        for (std::size_t word = 0; word < keys.size(); word += kWord) {
            std::uint64_t answers = 0;
            std::memcpy(&answers, inside.data() + word, kWord);
            if (answers == 0) continue;
            for (std::size_t e = word; e < std::min(word + kWord, keys.size()); ++e) {
                *place = keys[e];  // stays if the next one is written behind it
                place += inside[e];
            }
        }
        size_ = static_cast<std::size_t>(place - keys_.data());
    }

    std::int32_t low_, high_;
    std::vector<std::uint32_t> keys_;  ///< `size_` of them are in use, and some room behind
    std::size_t size_ = 0;
    std::uint64_t larger_ = 0;
};

/// The `rank`-th largest, from 1, of keys in [low, high]: from a histogram of equal bins, and the keys of one of them.
std::uint32_t largest(std::span<const std::uint32_t> keys, const Bracket& bracket, std::uint64_t rank) {
    constexpr std::uint32_t kBins = 4096;
    const auto low = static_cast<std::uint32_t>(bracket.low), width = (static_cast<std::uint32_t>(bracket.high) - low) / kBins + 1;
    std::vector<std::uint64_t> counts(kBins);
    for (const std::uint32_t key : keys) ++counts[(key - low) / width];
    std::uint32_t bin = kBins - 1;
    for (; counts[bin] < rank; --bin) rank -= counts[bin];
    std::vector<std::uint32_t> of_bin;
    for (const std::uint32_t key : keys)
        if ((key - low) / width == bin) of_bin.push_back(key);
    const auto place = of_bin.end() - static_cast<std::ptrdiff_t>(rank);
    std::nth_element(of_bin.begin(), place, of_bin.end());
    return *place;
}

/// Holds the keys inside the bracket; nothing if they are too many, or the threshold is not among them.
std::optional<Found> select_inside(const Bracket& bracket, std::uint64_t keep, std::uint64_t most, const KeySequence& keys) {
    Held held(bracket);
    std::vector<std::size_t> ends;
    for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment) {
        keys.for_blocks(segment, 1, [&](std::span<const std::uint32_t> block) {
            if (held.size() <= most) held.add(block);
        });
        ends.push_back(held.size());
    }
    const std::uint64_t above = held.larger();
    if (held.size() > most || keep <= above || keep - above > held.size()) return std::nullopt;
    Found found;
    const auto inside = held.keys(0, held.size());
    const std::uint32_t threshold = found.threshold.key = largest(inside, bracket, keep - above);
    const auto larger = std::count_if(inside.begin(), inside.end(), [&](std::uint32_t key) { return key > threshold; });
    found.threshold.equal_kept = keep - above - static_cast<std::uint64_t>(larger);
    for (std::size_t segment = 0, start = 0; segment < ends.size(); start = ends[segment++]) {
        const auto own = held.keys(start, ends[segment]);
        found.equal.push_back(static_cast<std::uint64_t>(std::count(own.begin(), own.end(), threshold)));
    }
    return found;
}

/// A histogram of the keys' upper halves finds the bin in which the threshold lies, one of the lower halves in that bin the
/// threshold itself. Precondition: 0 < keep <= number of keys.
Found select_by_radix(std::uint64_t keep, const KeySequence& keys) {
    constexpr std::size_t kBins = 1 << 16;
    const auto find_bin = [&keep](const std::vector<std::uint64_t>& counts) {
        std::size_t bin = kBins - 1;
        for (; counts[bin] < keep; --bin) keep -= counts[bin];
        return static_cast<std::uint32_t>(bin);
    };
    std::vector<std::uint64_t> counts(kBins);
    for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment)
        keys.for_blocks(segment, 1, [&](std::span<const std::uint32_t> block) {
            for (const std::uint32_t key : block) ++counts[key >> 16];
        });
    const std::uint32_t upper = find_bin(counts);
    std::fill(counts.begin(), counts.end(), 0);
    for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment)
        keys.for_blocks(segment, 1, [&](std::span<const std::uint32_t> block) {
            for (const std::uint32_t key : block)
                if (key >> 16 == upper) ++counts[key & 0xffffU];
        });
    Found found;
    found.threshold.key = upper << 16 | find_bin(counts);
    found.threshold.equal_kept = keep;
    for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment) {
        auto& equal = found.equal.emplace_back();
        keys.for_blocks(segment, 1, [&](std::span<const std::uint32_t> block) {
            equal += static_cast<std::uint64_t>(std::count(block.begin(), block.end(), found.threshold.key));
        });
    }
    return found;
}

}  // namespace

std::vector<Threshold> select_largest(std::uint64_t keep, const KeySequence& keys) {
    const std::uint64_t count = std::accumulate(keys.sizes.begin(), keys.sizes.end(), std::uint64_t{0});
    if (keep == 0) return std::vector<Threshold>(keys.sizes.size(), {kLargestKey, 0, 0});
    if (keep >= count) {
        std::vector<Threshold> all;
        for (const auto size : keys.sizes) all.push_back({0, size, size});
        return all;
    }
    constexpr std::uint64_t kHeld = 1 << 16;  // so few keys are all held, without a sample
    constexpr std::size_t kSampled = 1 << 15;  // keys, or more
    Bracket around;
    if (count > kHeld) {
        // Rather some keys of many blocks than all keys of few; not the same places of each, which may be the same columns.
        const std::size_t step = std::clamp<std::size_t>(count / kSampleStride / kSampled, 1, 16);
        std::vector<std::uint32_t> sample;
        std::uint64_t blocks = 0;
        for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment)
            keys.for_blocks(segment, kSampleStride, [&](std::span<const std::uint32_t> block) {
                for (std::size_t e = hashed(++blocks) % step; e < block.size(); e += step) sample.push_back(block[e]);
            });
        around = bracket(std::move(sample), static_cast<double>(keep) / static_cast<double>(count));
    }
    const auto inside = select_inside(around, keep, std::max(kHeld, count / 16), keys);
    const Found found = inside ? *inside : select_by_radix(keep, keys);
    std::vector<Threshold> thresholds;
    std::uint64_t left = found.threshold.equal_kept;
    for (const auto equal : found.equal) {
        const auto kept = std::min(left, equal);
        thresholds.push_back({found.threshold.key, kept, equal});
        left -= kept;
    }
    return thresholds;
}

}  // namespace cmsweep
