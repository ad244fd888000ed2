#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(NearSwap, MovesTheFirstMemberByAtMostT) {
    const auto pair = MergeCase::single({0, 0, 0, 0}, {{1, 1, 1, 1}, {1, 1.25, 2, 0.5}});
    EXPECT_THAT(pair.merge("nearswap", {{"t", 0.25}})[0], ElementsAre(1, 1.25, 1.25, 0.75));
    EXPECT_THAT(pair.merge("nearswap", {{"t", 100}})[0], ElementsAre(1, 1.25, 2, 0.5));
}

TEST(NearSwap, EqualsMergekit) {
    auto golden = MergeCase::golden();
    golden.members.pop_back();
    EXPECT_THAT(golden.merge("nearswap", {{"t", 0.05}})[0],
                near({0.56f, -0.22f, 0.705f, 1.07f, -1.5f, 0.105f, 0.335f, -0.565f, 0.27f, 0.815f, -0.43f, -0.01f}));
}

}  // namespace
}  // namespace cmsweep
