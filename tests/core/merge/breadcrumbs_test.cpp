#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Breadcrumbs, DropsOutliersAndSmallEntriesByHand) {
    // 10 entries 1 … 10: gamma 0.2 removes 10 and 9, density 0.3 keeps 8, 7, 6.
    std::vector<float> tau{1, -2, 3, -4, 5, -6, 7, -8, 9, -10};
    const auto one = MergeCase::single(std::vector<float>(10), {tau});
    EXPECT_THAT(one.merge("breadcrumbs", {{"density", 0.3}, {"gamma", 0.2}, {"lambda", 1}})[0],
                ElementsAre(0, 0, 0, 0, 0, -6, 7, -8, 0, 0));
    // With no room for it, fewer outliers are removed: the density holds.
    EXPECT_THAT(one.merge("breadcrumbs", {{"density", 0.9}, {"gamma", 0.5}, {"lambda", 1}})[0],
                ElementsAre(1, -2, 3, -4, 5, -6, 7, -8, 9, 0));
}

TEST(Breadcrumbs, EqualsMergekit) {
    EXPECT_THAT(
        MergeCase::golden().merge("breadcrumbs", {{"density", 0.5}, {"gamma", 0.2}})[0],
        near({0.542f, -0.25f, 0.75f, 0.979f, -1.515f, 0.11f, 0.354f, -0.598f, 0.244f, 0.8765f, -0.437f, 0.027f}));
}

TEST(Breadcrumbs, DoesNotZeroTensorsThatHaveNoOutlier) {
    // mergekit's slice [n_bot : -n_top] is empty where n_top is 0: tensors of under 100 elements at gamma 0.01.
    const auto one = MergeCase::single({0, 0, 0, 0}, {{1, 2, 3, 4}});
    EXPECT_THAT(one.merge("breadcrumbs", {{"density", 0.5}, {"gamma", 0.01}, {"lambda", 1}})[0],
                ElementsAre(0, 0, 3, 4));
}

TEST(Breadcrumbs, KeepsTheExactNumberAmongEqualMagnitudes) {
    const auto one = MergeCase::single(std::vector<float>(8), {std::vector<float>(8, 1.0f)});
    EXPECT_THAT(one.merge("breadcrumbs", {{"density", 0.25}, {"gamma", 0.25}, {"lambda", 1}})[0],
                ElementsAre(0, 0, 1, 1, 0, 0, 0, 0));
}

}  // namespace
}  // namespace cmsweep
