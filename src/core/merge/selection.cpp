#include "selection.hpp"

#include <algorithm>
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
    const auto at = [&](double position) {  // counted from the largest
        const auto place = sample.end() - 1 - static_cast<std::ptrdiff_t>(position);
        std::nth_element(sample.begin(), place, sample.end());
        return static_cast<std::int32_t>(*place);
    };
    Bracket found;
    if (rank - slack >= 0) found.high = at(rank - slack);
    if (rank + slack < size) found.low = at(rank + slack);
    return found;
}

/// Holds the keys inside the bracket; nothing if they are too many, or the threshold is not among them.
std::optional<Found> select_inside(const Bracket& bracket, std::uint64_t keep, std::uint64_t most, const KeySequence& keys) {
    std::vector<std::uint32_t> inside;  // `held` of them are in use, and some room behind
    std::vector<std::size_t> ends;
    std::size_t held = 0;
    std::uint64_t above = 0;
    const std::int32_t low = bracket.low, high = bracket.high;
    for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment) {
        keys.for_blocks(segment, 1, [&](std::span<const std::uint32_t> block) {
            if (held > most) return;
            if (inside.size() < held + block.size()) inside.resize(std::min<std::size_t>(2 * held, most) + 2 * block.size());
            std::int32_t larger = 0;
            for (const std::uint32_t key : block) larger += static_cast<std::int32_t>(key) > high;
            above += static_cast<std::uint64_t>(larger);
            // Every key is written, and stays if the next one is written behind it.
            std::uint32_t* place = inside.data() + held;
            for (const std::uint32_t key : block) {
                *place = key;
                place += (static_cast<std::int32_t>(key) >= low) & (static_cast<std::int32_t>(key) <= high);
            }
            held = static_cast<std::size_t>(place - inside.data());
        });
        ends.push_back(held);
    }
    if (held > most || keep <= above || keep - above > held) return std::nullopt;
    inside.resize(held);
    Found found;
    auto order = inside;
    const auto place = order.end() - static_cast<std::ptrdiff_t>(keep - above);
    std::nth_element(order.begin(), place, order.end());
    found.threshold.key = *place;
    const auto larger = std::count_if(inside.begin(), inside.end(), [&](std::uint32_t key) { return key > *place; });
    found.threshold.equal_kept = keep - above - static_cast<std::uint64_t>(larger);
    for (std::size_t segment = 0, start = 0; segment < ends.size(); start = ends[segment++]) {
        const auto from = inside.begin() + static_cast<std::ptrdiff_t>(start), to = inside.begin() + static_cast<std::ptrdiff_t>(ends[segment]);
        found.equal.push_back(static_cast<std::uint64_t>(std::count(from, to, found.threshold.key)));
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
    constexpr std::size_t kStride = 64;
    Bracket around;
    if (count > kHeld) {
        std::vector<std::uint32_t> sample;
        for (std::size_t segment = 0; segment < keys.sizes.size(); ++segment)
            keys.for_blocks(segment, kStride, [&](std::span<const std::uint32_t> block) { sample.insert(sample.end(), block.begin(), block.end()); });
        around = bracket(std::move(sample), static_cast<double>(keep) / static_cast<double>(count));
    }
    const auto inside = select_inside(around, keep, std::max(kHeld, count / 32), keys);
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
