#include "core/merge/selection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

namespace cmsweep {
namespace {

/// What a sort would keep: the reference for the radix selection.
std::vector<bool> kept_by_sorting(const std::vector<float>& values, std::size_t keep) {
    std::vector<std::size_t> order(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return std::abs(values[a]) > std::abs(values[b]); });
    std::vector<bool> kept(values.size());
    for (std::size_t i = 0; i < std::min(keep, order.size()); ++i) kept[order[i]] = true;
    return kept;
}

/// The same by selection, the values being in one segment or in several.
std::vector<bool> kept_by_selection(const std::vector<float>& values, std::size_t keep, const std::vector<std::uint64_t>& sizes) {
    constexpr std::size_t kPiece = 100;
    KeySequence keys;
    keys.sizes = sizes;
    keys.for_blocks = [&](std::size_t segment, std::size_t stride, const KeySequence::Visit& visit) {
        const auto start = static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(segment), std::uint64_t{0}));
        for (std::size_t at = 0; at < sizes[segment]; at += kPiece) {
            if (!is_sampled(at / kPiece, stride)) continue;
            std::vector<std::uint32_t> block;
            for (std::size_t e = at; e < std::min<std::size_t>(at + kPiece, sizes[segment]); ++e) block.push_back(magnitude_key(values[start + e]));
            visit(block);
        }
    };
    const auto thresholds = select_largest(keep, keys);
    std::vector<bool> kept;
    std::size_t at = 0;
    for (std::size_t segment = 0; segment < sizes.size(); ++segment) {
        Keeper keeper(thresholds[segment]);
        for (std::size_t e = 0; e < sizes[segment]; ++e) kept.push_back(keeper.keeps(magnitude_key(values[at++])));
    }
    return kept;
}
std::vector<bool> kept_by_selection(const std::vector<float>& values, std::size_t keep) { return kept_by_selection(values, keep, {values.size()}); }

TEST(Selection, EqualsASortForEveryCount) {
    std::mt19937_64 engine(7);
    std::normal_distribution<float> normal;
    std::vector<float> values(300);
    for (auto& value : values)
        value = std::round(normal(engine) * 8) / 8 * 1e-3f;  // many equal magnitudes, both signs, zeros
    values[17] = 1e-42f;
    values[18] = std::numeric_limits<float>::infinity();
    for (std::size_t keep = 0; keep <= values.size(); ++keep)
        ASSERT_EQ(kept_by_selection(values, keep), kept_by_sorting(values, keep)) << keep;
}

TEST(Selection, EqualsASortOnDistinctValues) {
    std::mt19937_64 engine(8);
    std::normal_distribution<float> normal;
    std::vector<float> values(20'000);
    for (auto& value : values) value = normal(engine);
    for (const std::size_t keep : {1UL, 2UL, 199UL, 4000UL, 19'999UL})
        EXPECT_EQ(kept_by_selection(values, keep), kept_by_sorting(values, keep));
}

TEST(Selection, OfMoreThanAreHeldEqualsASortWhateverTheSampleSays) {
    std::mt19937_64 engine(9);
    std::normal_distribution<float> normal;
    const std::size_t size = 200'000;
    std::vector<float> fine(size), coarse(size), equal(size, 0.5f), ordered(size), periodic(size), zeros(size);
    for (auto& value : fine) value = normal(engine);
    for (auto& value : coarse) value = std::round(normal(engine) * 4);  // too many equal keys to hold
    for (std::size_t i = 0; i < size; ++i) {
        ordered[i] = static_cast<float>(i);                                    // the sample is far from random
        periodic[i] = is_sampled(i / 100 % 700, kSampleStride) ? 1e-3f * static_cast<float>(i % 100) : normal(engine);  // and misses what is there
    }
    for (std::size_t i = 0; i < size / 50; ++i) zeros[i * 50] = normal(engine);  // fewer that are not 0 than are kept
    for (const auto& values : {fine, coarse, equal, ordered, periodic, zeros})
        for (const std::size_t keep : {1UL, 2000UL, 40'000UL, 199'999UL, 200'000UL})
            ASSERT_EQ(kept_by_selection(values, keep, {70'000, 3, 0, 129'997}), kept_by_sorting(values, keep)) << keep;
}

TEST(Selection, OfSoManyThatSomeKeysOfABlockAreSampledEqualsASort) {
    std::mt19937_64 engine(10);
    std::normal_distribution<float> normal;
    std::vector<float> values(2'300'000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = normal(engine) * (i < 2'000'000 ? 1.0f : 3.0f);  // tensors differ in scale
    const std::size_t keep = values.size() / 5;
    EXPECT_TRUE(kept_by_selection(values, keep, {2'000'000, 300'000}) == kept_by_sorting(values, keep));  // too long to print
}

TEST(Selection, OfMoreThanThereIsKeepsAll) {
    EXPECT_EQ(kept_by_selection({1, 0, -2}, 10), (std::vector<bool>{true, true, true}));
}

TEST(ShareOf, IsNotPushedBelowAWholeNumberByRounding) {
    EXPECT_EQ(share_of(0.29, 100), 29U);  // 0.29 * 100 = 28.999999999999996
    EXPECT_EQ(share_of(0.2, 12), 2U);
    EXPECT_EQ(share_of(1, 12), 12U);
}

}  // namespace
}  // namespace cmsweep
