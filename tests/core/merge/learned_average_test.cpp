#include <gtest/gtest.h>

#include "statistics_case.hpp"

namespace cmsweep {
namespace {

TEST(LearnedAverage, AddsTaskVectorsAtTheirOwnCoefficients) {
    auto given = MergeCase::single({1, 2}, {{2, 2}, {1, 6}});
    given.tensors.push_back({"h.1.mlp.c_fc.weight", {1, 1}, true});
    given.base.push_back({10});
    given.members[0].push_back({12});
    given.members[1].push_back({9});
    const auto merged = merge_with(given, "learned_average", {}, {{{0.5f}, {2.f}}, {{-0.25f}, {1.f}}});
    EXPECT_EQ(merged[0], (std::vector<float>{1.5f, 1.f}));
    EXPECT_EQ(merged[1], (std::vector<float>{13.f}));
}

TEST(LearnedAverage, OneAndZeroReturnAMember) {
    const auto given = MergeCase::random(2);
    const std::vector<std::vector<float>> one(given.tensors.size(), {1.f}), zero(given.tensors.size(), {0.f});
    EXPECT_EQ(merge_with(given, "learned_average", {}, {one, zero}), given.members[0]);
    EXPECT_EQ(merge_with(given, "learned_average", {}, {zero, zero}), given.base);
}

}  // namespace
}  // namespace cmsweep
