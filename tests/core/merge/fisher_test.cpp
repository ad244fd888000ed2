#include <gtest/gtest.h>

#include <cmath>

#include "cmsweep/base/error.hpp"
#include "statistics_case.hpp"

namespace cmsweep {
namespace {

TEST(Fisher, WeighsEveryParameterByItsInformationAtUnitNorm) {
    const auto given = MergeCase::single({0, 0}, {{1, 2}, {5, 6}});
    // Norms 5 and 1: {0.6, 0.8} and {1, 0}; the 0 becomes the floor.
    const auto merged = merge_with(given, "fisher", {{"floor", 0.2}}, {{{3, 4}}, {{1, 0}}});
    EXPECT_NEAR(merged[0][0], (0.6 * 1 + 1.0 * 5) / 1.6, 1e-6);
    EXPECT_NEAR(merged[0][1], (0.8 * 2 + 0.2 * 6) / 1.0, 1e-6);
}

TEST(Fisher, TheNormRunsOverAllTensorsAndWeightsMultiply) {
    auto given = MergeCase::single({0}, {{1}, {2}});
    given.tensors.push_back({"h.0.mlp.c_fc.bias", {1}, false});
    given.base.push_back({0});
    given.members[0].push_back({3});
    given.members[1].push_back({4});
    const auto merged = merge_with(given, "fisher", {{"alpha", 0.75}}, {{{3}, {4}}, {{4}, {3}}});
    EXPECT_NEAR(merged[0][0], (0.75 * 0.6 * 1 + 0.25 * 0.8 * 2) / (0.75 * 0.6 + 0.25 * 0.8), 1e-6);
    EXPECT_NEAR(merged[1][0], (0.75 * 0.8 * 3 + 0.25 * 0.6 * 4) / (0.75 * 0.8 + 0.25 * 0.6), 1e-6);
}

TEST(Fisher, EqualsFusionBench) {
    // merging_with_fisher_weights(), whose floor of 1e-6 is added before the norm is divided out: here it is far below the values.
    const std::vector<std::vector<std::vector<float>>> information{
        {{1, 4, 2, 2, 3, 1, 5, 2, 6, 1, 6, 2}}, {{2, 1, 3, 5, 2, 2, 1, 1, 4, 3, 4, 1}}, {{3, 6, 1, 1, 1, 2, 2, 4, 1, 5, 2, 2}}};
    EXPECT_THAT(merge_with(MergeCase::golden(), "fisher", {}, information)[0],
                near({0.5280266f, -0.1738666f, 0.6768237f, 1.023622f, -1.53592f, 0.1037742f, 0.3327393f, -0.5490249f, 0.2505344f, 0.8575935f,
                      -0.4343927f, 0.0329439f}));
}

TEST(Fisher, ParentsComeBackBitForBitAndEqualMembersToo) {
    const auto given = MergeCase::random(2);
    const auto information = given.members;  // any positive or negative values do
    EXPECT_EQ(merge_with(given, "fisher", {{"alpha", 1.0}}, information), given.members[0]);
    EXPECT_EQ(merge_with(given, "fisher", {{"alpha", 0.0}}, information), given.members[1]);
    auto equal = given;
    equal.members[1] = equal.members[0];
    const auto merged = merge_with(equal, "fisher", {}, information);
    for (std::size_t t = 0; t < merged.size(); ++t)
        for (std::size_t e = 0; e < merged[t].size(); ++e) EXPECT_NEAR(merged[t][e], equal.members[0][t][e], 1e-6);
}

TEST(Fisher, WithoutInformationThereIsNoMerge) {
    const auto given = MergeCase::single({0, 0}, {{1, 2}, {5, 6}});
    EXPECT_THROW(merge_with(given, "fisher", {}, {{{0, 0}}, {{1, 0}}}), NumericError);
    EXPECT_THROW(merge_with(given, "fisher", {}, {{{1, 0}}, {{std::nanf(""), 0}}}), NumericError);
}

}  // namespace
}  // namespace cmsweep
