#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(IsoC, FlattensTheSpectrumByHand) {
    // The sum is diag(3, 1): mean singular value 2 on both.
    auto pair = MergeCase::single({0, 0, 0, 0}, {{3, 0, 0, 0}, {0, 0, 0, -1}});
    pair.tensors[0].shape = {2, 2};
    EXPECT_THAT(pair.merge("iso_c")[0], near({2, 0, 0, -2}));
    EXPECT_THAT(pair.merge("iso_c", {{"lambda", 0.5}})[0], near({1, 0, 0, -1}));
}

TEST(IsoC, EqualsTheAuthorsCode) {
    EXPECT_THAT(MergeCase::golden().merge("iso_c")[0],
                near({0.665265727f, -0.098096971f, 0.697027584f, 1.106290194f, -1.632400273f, 0.102205013f, 0.30665236f,
                      -0.420622581f, 0.309158001f, 0.813363536f, -0.284427406f, 0.103540847f}));
}

TEST(IsoC, DoesNotDependOnHowTheWeightIsStored) {
    auto golden = MergeCase::golden();
    const auto expected = transpose(golden.merge("iso_c")[0], 3, 4);
    golden.tensors[0] = {"w", {4, 3}, true};
    golden.base[0] = transpose(golden.base[0], 3, 4);
    for (auto& member : golden.members) member[0] = transpose(member[0], 3, 4);
    EXPECT_THAT(golden.merge("iso_c")[0], near(expected));
}

TEST(IsoC, AddsNothingInDirectionsThatNoTaskHas) {
    // Rank one of two: mean singular value 2 on the one direction; the other is not determined by the tasks.
    auto one = MergeCase::single({0, 0, 0, 0}, {{4, 0, 0, 0}});
    one.tensors[0].shape = {2, 2};
    EXPECT_THAT(one.merge("iso_c")[0], near({2, 0, 0, 0}));
}

TEST(IsoC, AveragesVectors) {
    auto pair = MergeCase::single({1, 1}, {{2, 3}, {4, 5}});
    pair.tensors[0].shape = {2};
    EXPECT_THAT(pair.merge("iso_c")[0], ElementsAre(3, 4));
}

}  // namespace
}  // namespace cmsweep
