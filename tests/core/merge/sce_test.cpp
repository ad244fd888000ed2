#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Sce, SelectsWeighsAndErasesByHand) {
    // tau_1 = (1, 2, -4), tau_2 = (1, 4, 2). Variances 0, 1, 9: two vary; one of them (half) is selected: the last.
    // Squares 16 and 4; the sum -2 is negative, so tau_2 is erased.
    const auto pair = MergeCase::single({0, 0, 0}, {{1, 2, -4}, {1, 4, 2}});
    EXPECT_THAT(pair.merge("sce", {{"select_topk", 0.5}})[0], ElementsAre(0, 0, -4));
    // All: squares 21 and 21, so that what agrees is averaged.
    EXPECT_THAT(pair.merge("sce", {{"select_topk", 1}})[0], ElementsAre(1, 3, -4));
}

TEST(Sce, EqualsMergekit) {
    const auto golden = MergeCase::golden();
    EXPECT_THAT(golden.merge("sce", {{"select_topk", 0.5}})[0],
                near({0.5f, -0.167475302f, 0.6f, 1.068072727f, -1.5f, 0.125f, 0.308603306f, -0.625f, 0.302012405f,
                      0.794229841f, -0.5f, 0.0f}));
    EXPECT_THAT(golden.merge("sce", {{"select_topk", 1}})[0],
                near({0.568296978f, -0.166103262f, 0.6f, 1.05563338f, -1.590276526f, 0.045f, 0.314257555f, -0.54126185f,
                      0.296984842f, 0.802399631f, -0.417646682f, 0.045753789f}));
}

TEST(Sce, WeighsLightFineTuningsToo) {
    // Mean squares of 1e-8 and 9e-8: an early mergekit took anything below 1e-6 for equal and gave 2e-4.
    const auto pair = MergeCase::single({0}, {{1e-4f}, {3e-4f}});
    EXPECT_THAT(pair.merge("sce", {{"select_topk", 1}})[0], near({2.8e-4f}, 1e-9));
}

TEST(Sce, SelectsTheExactNumberAmongEqualVariances) {
    const auto pair = MergeCase::single(std::vector<float>(4), {{1, 1, 1, 1}, {3, 3, 3, 3}});
    const auto merged = pair.merge("sce", {{"select_topk", 0.5}})[0];
    EXPECT_THAT(merged, ElementsAre(2.8f, 2.8f, 0, 0));
}

}  // namespace
}  // namespace cmsweep
