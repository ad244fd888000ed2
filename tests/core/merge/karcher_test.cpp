#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Karcher, IsTheMiddleOfTheArcForTwoMembers) {
    const auto pair = MergeCase::single({0, 0}, {{2, 0}, {0, 4}});
    EXPECT_THAT(pair.merge("karcher")[0], near({2.1213203f, 2.1213203f}));  // norm 3 at 45 degrees
    // weight 2 : 1 is a third of the way, 30 degrees, at norm 8/3
    EXPECT_THAT(pair.merge("karcher", {{"weights", {2, 1}}, {"iterations", 100}, {"tolerance", 1e-9}})[0],
                near({2.3094011f, 1.3333333f}, 3e-6));
}

TEST(Karcher, EqualsMergekit) {
    const auto golden = MergeCase::golden_directions();
    EXPECT_THAT(golden.merge("karcher")[0],
                near({0.779187013f, 0.777846278f, -0.552684757f, 0.449855866f, -0.854298567f, -0.126502606f,
                      -0.470312296f, 1.235746115f, 0.130261173f, -0.67970974f, 1.246944195f, 0.470065049f},
                     3e-6));
    EXPECT_THAT(golden.merge("karcher", {{"weights", {3, 1, 1}}})[0],
                near({0.9035763f, 0.356616331f, -0.30969874f, 0.922575076f, -0.781159661f, 0.084120091f, -0.772793516f,
                      0.798028183f, 0.454742375f, -1.002391039f, 0.857751801f, 0.497896469f},
                     3e-6));
}

TEST(Karcher, CountsZeroTensorsInTheNormOnly) {
    EXPECT_THAT(MergeCase::single({0, 0}, {{0, 0}, {3, 4}}).merge("karcher")[0], near({1.5f, 2}));
    EXPECT_THAT(MergeCase::single({1, 1}, {{0, 0}, {0, 0}}).merge("karcher")[0], ElementsAre(0, 0));
}

TEST(Karcher, StaysFiniteForOppositeMembers) {
    const auto merged = MergeCase::single({0, 0}, {{1, 0}, {-1, 0}}).merge("karcher");
    for (const float value : merged[0]) EXPECT_TRUE(std::isfinite(value));
}

}  // namespace
}  // namespace cmsweep
