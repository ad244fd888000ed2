#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Ties, TrimsElectsAndAveragesByHand) {
    // Global: 2 of the 4 entries of each task vector stay. tau_1 = (4, 1, -3, 2) -> (4, 0, -3, 0);
    // tau_2 = (2, 0.5, 5, -1) -> (2, 0, 5, 0). Signs of the sum: +, none, +, none.
    const auto pair = MergeCase::single({0, 0, 0, 1}, {{4, 1, -3, 3}, {2, 0.5, 5, 0}});
    EXPECT_THAT(pair.merge("ties", {{"density", 0.5}})[0], ElementsAre(3, 0, 5, 1));
    EXPECT_THAT(pair.merge("ties", {{"density", 0.5}, {"lambda", 2}})[0], ElementsAre(6, 0, 10, 1));
    EXPECT_THAT(pair.merge("ties", {{"density", 0.5}, {"reference", "fusionbench"}})[0], near({1.8f, 0, 1.5f, 1}));
    EXPECT_THAT(pair.merge("ties", {{"density", 1}})[0], ElementsAre(3, 0.75, 5, 3));
}

TEST(Ties, EqualsTheReferences) {
    const auto golden = MergeCase::golden();
    EXPECT_THAT(golden.merge("ties", {{"density", 0.25}})[0],
                near({0.5f, -0.11f, 0.6f, 1.12f, -1.62f, 0.125f, 0.285f, -0.495f, 0.25f, 0.765f, -0.395f, 0.0f}));
    EXPECT_THAT(golden.merge("ties", {{"density", 0.25}, {"reference", "fusionbench"}})[0],
                near({0.5f, -0.208f, 0.705f, 1.036f, -1.536f, 0.125f, 0.348f, -0.586f, 0.25f, 0.842f, -0.437f, 0.0f}));
    EXPECT_THAT(golden.merge("ties", {{"density", 0.5}, {"weights", {1, 2, 1}}, {"reference", "mergekit"}})[0],
                near({0.566666667f, -0.11f, 0.6f, 1.12f, -1.585f, 0.045f, 0.285f, -0.508333333f, 0.16f, 0.765f,
                      -0.396666667f, 0.0f}));
}

TEST(Ties, OfTwoMembersHasTheBitsOfTheStepsOneByOne) {
    // Two members take a loop of their own. A third without weight changes no bit of it, nor does an entry that nobody changed.
    auto pair = MergeCase::random(2);
    for (std::size_t t = 0; t < pair.base.size(); ++t)
        for (std::size_t e = 0; e < pair.base[t].size(); e += 3) pair.members[e % 2][t][e] = pair.base[t][e];
    for (const auto& [first, second] : {std::pair{1.0, 1.0}, std::pair{3.0, 1.0}}) {
        const double mean = (first + second) / 2;
        const auto merged = pair.merge("ties", {{"density", 1.0}, {"weights", {first, second}}});
        const float weights[] = {static_cast<float>(first / mean), static_cast<float>(second / mean)};
        for (std::size_t t = 0; t < merged.size(); ++t) {
            for (std::size_t e = 0; e < merged[t].size(); ++e) {
                const float tau[] = {pair.members[0][t][e] - pair.base[t][e], pair.members[1][t][e] - pair.base[t][e]};
                const float elected = weights[0] * tau[0] + weights[1] * tau[1];
                float sum = 0, weight = 0;
                for (int i = 0; i < 2; ++i) {
                    if (elected * tau[i] <= 0) continue;
                    sum += weights[i] * tau[i];
                    weight += weights[i];
                }
                ASSERT_EQ(merged[t][e], pair.base[t][e] + (weight > 0 ? sum / weight : 0.0f)) << t << ' ' << e;
            }
        }
    }
}

TEST(Ties, TrimsOverTheWholeModelAndInMergekitPerTensor) {
    MergeCase one;
    one.tensors = {{"small", {2}, false}, {"large", {2}, false}};
    one.base = {{0, 0}, {0, 0}};
    one.members = {{{1, 2}, {30, 40}}};
    const auto model = one.merge("ties", {{"density", 0.5}});
    EXPECT_THAT(model[0], ElementsAre(0, 0));
    EXPECT_THAT(model[1], ElementsAre(30, 40));
    const auto tensor = one.merge("ties", {{"density", 0.5}, {"reference", "mergekit"}});
    EXPECT_THAT(tensor[0], ElementsAre(0, 2));
    EXPECT_THAT(tensor[1], ElementsAre(0, 40));
}

TEST(Ties, KeepsExactlyTheShareEvenAmongEqualMagnitudes) {
    // The reference's "magnitude >= k-th smallest" keeps one too many, and all of several equal ones.
    for (const std::size_t size : {10U, 1000U, 5000U}) {
        const auto equal = MergeCase::single(std::vector<float>(size), {std::vector<float>(size, -0.5f)});
        const auto merged = equal.merge("ties", {{"density", 0.3}})[0];
        EXPECT_EQ(std::count(merged.begin(), merged.end(), -0.5f), static_cast<std::ptrdiff_t>(size * 3 / 10));
        EXPECT_EQ(merged[0], -0.5f);
        EXPECT_EQ(merged[size - 1], 0);
    }
    std::vector<float> ramp(1000);
    for (std::size_t i = 0; i < ramp.size(); ++i) ramp[i] = static_cast<float>(i * 7919 % 1000) - 500;
    auto sorted = ramp;
    std::sort(sorted.begin(), sorted.end(), [](float a, float b) { return std::abs(a) > std::abs(b); });
    const auto merged = MergeCase::single(std::vector<float>(1000), {ramp}).merge("ties", {{"density", 0.25}})[0];
    EXPECT_EQ(std::count_if(merged.begin(), merged.end(), [](float value) { return value != 0; }), 250);
    for (std::size_t i = 0; i < ramp.size(); ++i) {
        if (merged[i] != 0) {
            EXPECT_EQ(merged[i], ramp[i]);
            EXPECT_GE(std::abs(ramp[i]), std::abs(sorted[249]));
        }
    }
}

TEST(Ties, EqualMagnitudesThatSpanTensorsAreSharedOutInOrder) {
    MergeCase one;
    one.tensors = {{"a", {3}, false}, {"b", {3}, false}};
    one.base = {{0, 0, 0}, {0, 0, 0}};
    one.members = {{{1, 5, 1}, {1, 1, 1}}};
    const auto merged = one.merge("ties", {{"density", 4.0 / 6.0}});  // the 5 and the first three of the ones
    EXPECT_THAT(merged[0], ElementsAre(1, 5, 1));
    EXPECT_THAT(merged[1], ElementsAre(1, 0, 0));
}

TEST(Ties, RoundingElectsNothingWhateverTheOrderOfTheMembers) {
    // The sum of the three is 2^-25, which 1 + 2^-25 - 1 loses in float: plus is elected, and two of the three agree.
    const float small = std::ldexp(1.0f, -25);
    std::vector<std::vector<float>> members{{1}, {small}, {-1}};
    std::sort(members.begin(), members.end());
    do {
        EXPECT_THAT(MergeCase::single({0}, members).merge("ties", {{"density", 1}})[0], near({0.5f}));
    } while (std::next_permutation(members.begin(), members.end()));
}

TEST(Ties, ExactCancellationElectsNothingButPlusInMergekit) {
    const auto pair = MergeCase::single({0}, {{2}, {-2}});
    EXPECT_THAT(pair.merge("ties", {{"density", 1}})[0], ElementsAre(0));
    EXPECT_THAT(pair.merge("ties", {{"density", 1}, {"reference", "mergekit"}})[0], ElementsAre(2));
}

}  // namespace
}  // namespace cmsweep
