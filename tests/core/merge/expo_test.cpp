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

TEST(Expo, EqualsTheAuthorsFormula) {
    // Equation 1 of the paper with the mean of three for the aligned model: mean + 0.3 x (mean - base).
    EXPECT_THAT(MergeCase::golden().merge("expo")[0],
                near({0.5563333f, -0.185f, 0.7045f, 1.026f, -1.565f, 0.112f, 0.3446667f, -0.5253333f, 0.2543333f, 0.8295f, -0.4003333f, 0.0346667f}));
}

}  // namespace
}  // namespace cmsweep
