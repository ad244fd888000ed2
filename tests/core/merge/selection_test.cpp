#include "core/merge/selection.hpp"

#include <gtest/gtest.h>

#include <algorithm>
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

std::vector<bool> kept_by_selection(const std::vector<float>& values, std::size_t keep) {
    Keeper keeper(select_largest(keep, [&](auto&& visit) {
        for (const float value : values) visit(magnitude_key(value));
    }));
    std::vector<bool> kept;
    for (const float value : values) kept.push_back(keeper.keeps(magnitude_key(value)));
    return kept;
}

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
