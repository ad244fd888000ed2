#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(TaskArithmetic, AddsLambdaTimesTheSumOfTaskVectors) {
    const auto three = MergeCase::single({1, 2}, {{2, 2}, {1, 4}, {0, 5}});  // tau: (1, 0), (0, 2), (-1, 3)
    EXPECT_THAT(three.merge("task_arithmetic", {{"lambda", 0.5}})[0], ElementsAre(1, 4.5));
    EXPECT_THAT(three.merge("task_arithmetic")[0], near({1, 3.5f}));  // lambda 0.3
    EXPECT_THAT(three.merge("task_arithmetic", {{"lambda", 0}})[0], ElementsAre(1, 2));
}

TEST(TaskArithmetic, NotesHowTheTaskVectorsLie) {
    nlohmann::json notes;
    MergeCase::single({1, 2}, {{4, 6}, {1, 4}}).merge("task_arithmetic", {}, &notes);  // tau: (3, 4), (0, 2)
    EXPECT_EQ(notes, nlohmann::json({{"tau_norm", {5.0, 2.0}}, {"tau_cosine", 0.8}}));

    auto two_tensors = MergeCase::single({1, 2}, {{1, 5}, {4, 2}});  // tau: (0, 3), (3, 0), and then (4), (4)
    two_tensors.tensors.push_back({"h.0.mlp.c_fc.bias", {1}, false});
    two_tensors.base.push_back({1});
    for (auto& member : two_tensors.members) member.push_back({5});
    notes = {};
    two_tensors.merge("task_arithmetic", {}, &notes);
    EXPECT_EQ(notes, nlohmann::json({{"tau_norm", {5.0, 5.0}}, {"tau_cosine", 0.64}})) << "over all tensors";

    notes = {};
    MergeCase::single({1, 2}, {{2, 2}, {1, 4}, {0, 2}}).merge("task_arithmetic", {}, &notes);  // tau: (1, 0), (0, 2), (-1, 0)
    EXPECT_NEAR(notes.at("tau_cosine").get<double>(), -1.0 / 3, 1e-6);

    notes = {};
    MergeCase::single({1, 2}, {{1, 2}, {1, 4}}).merge("task_arithmetic", {}, &notes);
    EXPECT_EQ(notes, nlohmann::json({{"tau_norm", {0.0, 2.0}}})) << "a task vector of 0 has no direction";
}

TEST(TaskArithmetic, EqualsFusionBench) {
    EXPECT_THAT(MergeCase::golden().merge("task_arithmetic")[0],
                near({0.539f, -0.205f, 0.7185f, 1.018f, -1.545f, 0.116f, 0.354f, -0.556f, 0.253f, 0.8435f, -0.431f, 0.024f}));
}

}  // namespace
}  // namespace cmsweep
