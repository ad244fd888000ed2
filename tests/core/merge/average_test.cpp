#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Average, EqualsTheWeightedMeanByHand) {
    const auto pair = MergeCase::single({0, 0}, {{1, -2}, {3, 6}});
    EXPECT_THAT(pair.merge("average")[0], ElementsAre(2, 2));
    EXPECT_THAT(pair.merge("average", {{"alpha", 0.75}})[0], ElementsAre(1.5, 0));
    const auto three = MergeCase::single({0}, {{1}, {2}, {6}});
    EXPECT_THAT(three.merge("average")[0], ElementsAre(3));
    EXPECT_THAT(three.merge("average", {{"weights", {2, 1, 1}}})[0], ElementsAre(2.5));  // 10 / 4: normalised
}

TEST(Average, ReturnsParentsBitForBitEvenIfTheOtherIsNotFinite) {
    auto pair = MergeCase::random(2);
    pair.members[1][0][3] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(pair.merge("average", {{"alpha", 1.0}}), pair.members[0]);
    pair.members[1][0][3] = 1;
    EXPECT_EQ(pair.merge("average", {{"alpha", 0.0}}), pair.members[1]);
    EXPECT_EQ(pair.merge("average", {{"weights", {0, 7}}}), pair.members[1]);
}

TEST(Average, ReturnsEqualMembersBitForBit) {
    for (const std::size_t count : {2, 3, 5, 7}) {
        auto copies = MergeCase::random(count);
        copies.members[0][0][0] = 1e-42f;  // subnormal
        copies.members[0][0][1] = 3e38f;   // a plain sum of floats would overflow
        for (auto& member : copies.members) member = copies.members[0];
        EXPECT_EQ(copies.merge("average"), copies.members[0]);
    }
    auto copies = MergeCase::random(2);
    copies.members[1] = copies.members[0];
    EXPECT_EQ(copies.merge("average", {{"alpha", 0.3}}), copies.members[0]);
}

TEST(Average, CoversTensorsLongerThanOneBlock) {
    std::vector<float> a(3001), b(3001);
    for (std::size_t i = 0; i < a.size(); ++i) {
        a[i] = static_cast<float>(i);
        b[i] = static_cast<float>(2 * i);
    }
    const auto merged = MergeCase::single(std::vector<float>(3001), {a, b}).merge("average")[0];
    for (std::size_t i = 0; i < a.size(); ++i) ASSERT_EQ(merged[i], 1.5f * static_cast<float>(i));
}

TEST(MemberWeights, ComeFromAlphaOrWeightsOrAreEqual) {
    EXPECT_THAT(member_weights({{"alpha", 0.25}}, 2), ElementsAre(0.25, 0.75));
    EXPECT_THAT(member_weights({{"alpha", nullptr}, {"weights", {1, 2, 3}}}, 3), ElementsAre(1, 2, 3));
    EXPECT_THAT(member_weights(nlohmann::json::object(), 4), ElementsAre(0.25, 0.25, 0.25, 0.25));
}

std::string refusal(const nlohmann::json& setting, std::size_t members) {
    try {
        member_weights(setting, members);
    } catch (const InputError& error) {
        return error.what();
    }
    return "";
}

TEST(MemberWeights, RefuseWhatDoesNotFitTheMembers) {
    EXPECT_THAT(refusal({{"alpha", 0.5}}, 3), HasSubstr("there are 3 members"));
    EXPECT_THAT(refusal({{"weights", {1, 2}}}, 3), HasSubstr("2 entries"));
    EXPECT_THAT(refusal({{"weights", {0, 0}}}, 2), HasSubstr("all 0"));
    EXPECT_THAT(refusal({{"alpha", 0.5}, {"weights", {1, 1}}}, 2), HasSubstr("both given"));
}

}  // namespace
}  // namespace cmsweep
