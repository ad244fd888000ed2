#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(MagMax, TakesTheTaskVectorOfLargestMagnitude) {
    const auto three = MergeCase::single(
        {1, 1, 1}, {{2, 1.5, 1}, {0.5, -2, 1}, {1, 2, 1}});  // tau: (1, .5, 0), (-.5, -3, 0), (0, 1, 0)
    EXPECT_THAT(three.merge("magmax", {{"lambda", 1}})[0], ElementsAre(2, -2, 1));
    EXPECT_THAT(three.merge("magmax")[0], ElementsAre(1.5, -0.5, 1));  // lambda 0.5
}

TEST(MagMax, PrefersTheFirstOfEqualMagnitudes) {
    EXPECT_THAT(MergeCase::single({0}, {{-2}, {2}}).merge("magmax", {{"lambda", 1}})[0], ElementsAre(-2));
}

}  // namespace
}  // namespace cmsweep
