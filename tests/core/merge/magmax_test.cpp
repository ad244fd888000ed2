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

TEST(MagMax, EqualsTheAuthorsCode) {
    // merge_max_abs() of github.com/danielm1405/magmax, applied at a coefficient of 0.5.
    EXPECT_THAT(MergeCase::golden().merge("magmax")[0],
                near({0.54f, -0.18f, 0.675f, 1.06f, -1.56f, 0.085f, 0.33f, -0.56f, 0.205f, 0.82f, -0.445f, 0.025f}));
}

}  // namespace
}  // namespace cmsweep
