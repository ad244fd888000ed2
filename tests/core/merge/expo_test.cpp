#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Expo, GoesOnBeyondTheMemberAndTheAverage) {
    EXPECT_THAT(MergeCase::single({1, 2}, {{3, 2}}).merge("expo", {{"extrapolation", 0.5}})[0], ElementsAre(4, 2));
    const auto pair = MergeCase::single({0}, {{2}, {6}});
    EXPECT_THAT(pair.merge("expo", {{"extrapolation", 0.25}})[0], ElementsAre(5));
    EXPECT_THAT(pair.merge("expo", {{"extrapolation", 0.25}, {"weights", {3, 1}}})[0], ElementsAre(3.75));
}

TEST(Expo, WithoutExtrapolationIsTheAverage) {
    const auto three = MergeCase::random(3);
    const auto merged = three.merge("expo", {{"extrapolation", 0}}), average = three.merge("average");
    for (std::size_t t = 0; t < merged.size(); ++t) EXPECT_THAT(merged[t], near(average[t]));
}

}  // namespace
}  // namespace cmsweep
