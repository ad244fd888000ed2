#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

TEST(Tsv, AddsOrthogonalTasksWithoutLoss) {
    // Rank-one tasks on different rows and columns do not interfere: the result is their sum.
    auto pair = MergeCase::single({1, 1, 1, 1}, {{3, 1, 1, 1}, {1, 1, 1, 4}});
    pair.tensors[0].shape = {2, 2};
    EXPECT_THAT(pair.merge("tsv")[0], near({3, 1, 1, 4}));
    EXPECT_THAT(pair.merge("tsv", {{"lambda", 0.5}})[0], near({2, 1, 1, 2.5f}));
}

TEST(Tsv, EqualsTheAuthorsCode) {
    auto golden = MergeCase::golden();
    EXPECT_THAT(golden.merge("tsv")[0],
                near({0.668367597f, -0.300672326f, 0.661467162f, 1.047351225f, -1.574509565f, 0.056558556f,
                      0.271545623f, -0.493883441f, 0.277199771f, 0.804892353f, -0.334880481f, 0.067617699f}));
    golden.members.pop_back();
    EXPECT_THAT(golden.merge("tsv")[0],
                near({0.631334637f, -0.335360156f, 0.669144598f, 1.104147755f, -1.497200481f, 0.142274926f,
                      0.264560387f, -0.632845123f, 0.270259544f, 0.830753384f, -0.335521158f, 0.032448207f}));
}

TEST(Tsv, AveragesVectorsAndMatricesTooSmallToShareOut) {
    auto pair = MergeCase::single({0, 0}, {{2, 4}, {4, 8}});
    EXPECT_THAT(pair.merge("tsv")[0], ElementsAre(3, 6));  // 1 x 2: half a singular value each
    pair.tensors[0].shape = {2};
    EXPECT_THAT(pair.merge("tsv")[0], ElementsAre(3, 6));
}

TEST(Tsv, IgnoresAMemberThatDidNotChange) {
    auto pair = MergeCase::random(2);
    auto alone = pair;
    pair.members[1] = pair.base;
    const auto merged = pair.merge("tsv");
    for (std::size_t t = 0; t < merged.size(); ++t) {
        for (const float value : merged[t]) ASSERT_TRUE(std::isfinite(value));
    }
    EXPECT_NE(merged[0], pair.base[0]);
}

TEST(Tsv, RefusesWhatIsNotFinite) {
    auto pair = MergeCase::golden();
    pair.members[0][0][2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(pair.merge("tsv"), NumericError);
}

}  // namespace
}  // namespace cmsweep
