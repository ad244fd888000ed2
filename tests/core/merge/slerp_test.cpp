#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

TEST(Slerp, TurnsByTheGivenShareOfTheAngle) {
    // (1, 0) to (0, 2): a quarter turn. At alpha 1/2 both factors are sin(45 deg) / sin(90 deg).
    const auto pair = MergeCase::single({0, 0}, {{1, 0}, {0, 2}});
    EXPECT_THAT(pair.merge("slerp")[0], near({0.70710678f, 1.41421356f}));
    // alpha = 2/3: a third of the way, factors sin(60 deg) and sin(30 deg)
    EXPECT_THAT(pair.merge("slerp", {{"alpha", 2.0 / 3.0}})[0], near({0.86602540f, 1.0f}));
}

TEST(Slerp, EqualsMergekit) {
    auto golden = MergeCase::golden_directions();
    golden.members.pop_back();
    EXPECT_THAT(golden.merge("slerp", {{"alpha", 0.7}})[0],
                near({1.013881437f, -0.04083364f, -0.663141199f, 1.142801322f, -0.361973424f, -0.104133654f,
                      -1.010671955f, 0.70557958f, 0.213796648f, -0.76798997f, 0.655117494f, 0.317930302f},
                     3e-6));
}

TEST(Slerp, KeepsTheNormBetweenMembersOfEqualNorm) {
    const auto merged = MergeCase::single({0, 0, 0}, {{3, 4, 0}, {0, -3, 4}}).merge("slerp", {{"alpha", 0.2}})[0];
    EXPECT_NEAR(merged[0] * merged[0] + merged[1] * merged[1] + merged[2] * merged[2], 25, 1e-5);
}

TEST(Slerp, FallsBackToLinearForParallelOppositeAndZeroTensorsAndCountsThem) {
    MergeCase pair;
    pair.tensors = {{"parallel", {2}, false}, {"opposite", {2}, false}, {"zero", {2}, false}, {"apart", {2}, false}};
    pair.base = {{0, 0}, {0, 0}, {0, 0}, {0, 0}};
    pair.members = {{{1, 1}, {1, 0}, {0, 0}, {1, 0}}, {{2, 2}, {-1, 0}, {4, 2}, {0, 1}}};
    nlohmann::json notes;
    const auto merged = pair.merge("slerp", {{"alpha", 0.25}}, &notes);
    EXPECT_EQ(notes.at("linear_tensors"), 3);
    EXPECT_THAT(merged[0], near({1.75f, 1.75f}));
    EXPECT_THAT(merged[1], near({-0.5f, 0}));
    EXPECT_THAT(merged[2], near({3, 1.5f}));
}

}  // namespace
}  // namespace cmsweep
