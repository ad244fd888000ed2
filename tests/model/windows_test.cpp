#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "corpus_fixture.hpp"
#include "split_store.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Id kDigest{1, 2};

TEST(AvailableWindows, NeedOneTokenMoreThanTheirContext) {
    EXPECT_EQ(available_windows(0, 4), 0);
    EXPECT_EQ(available_windows(4, 4), 0);
    EXPECT_EQ(available_windows(5, 4), 1);
    EXPECT_EQ(available_windows(8, 4), 1);
    EXPECT_EQ(available_windows(9, 4), 2);
    EXPECT_THROW(available_windows(9, 0), std::invalid_argument);
}

TEST(EvaluationStarts, AreTheGridWhenAllAreTaken) {
    EXPECT_THAT(evaluation_starts(kDigest, 13, 4, -1), ElementsAre(0, 4, 8));
    EXPECT_THAT(evaluation_starts(kDigest, 13, 4, 3), ElementsAre(0, 4, 8));
    EXPECT_THAT(evaluation_starts(kDigest, 13, 4, 100), ElementsAre(0, 4, 8));
    EXPECT_THAT(evaluation_starts(kDigest, 4, 4, -1), IsEmpty());
    EXPECT_THAT(evaluation_starts(kDigest, 13, 4, 0), IsEmpty());
}

TEST(EvaluationStarts, AreDrawnWithoutReplacementByTheSplitAlone) {
    const auto starts = evaluation_starts(kDigest, 100001, 100, 50);
    EXPECT_EQ(starts.size(), 50U);
    EXPECT_TRUE(std::is_sorted(starts.begin(), starts.end()));
    EXPECT_EQ(std::set<std::uint64_t>(starts.begin(), starts.end()).size(), 50U);
    for (const auto start : starts) {
        EXPECT_EQ(start % 100, 0U);
        EXPECT_LE(start + 101, 100001U);
    }
    EXPECT_EQ(evaluation_starts(kDigest, 100001, 100, 50), starts);
    EXPECT_NE(evaluation_starts(Id{1, 3}, 100001, 100, 50), starts);
    // Spread over the split: 50 of 1000 windows all in one half would have a chance of 2^-49.
    EXPECT_LT(starts.front(), 50000U);
    EXPECT_GT(starts.back(), 50000U);
}

class DocumentGroups : public CorpusTest {
protected:
    StoredSplit stored(std::size_t tokens, std::vector<std::uint64_t> starts) const {
        TokenSplit split;
        split.tokens.assign(tokens, 1);
        split.document_starts = std::move(starts);
        split.digest = digest_of(split);
        write_split(folder_, split);
        return StoredSplit(folder_, split.digest);
    }
};

TEST_F(DocumentGroups, HoldWholeDocuments) {
    // Windows of 10 at 0, 10, …, 90; the documents start at 0, 25 and 60, so they own 3, 3 and 4 windows.
    const StoredSplit split = stored(101, {0, 25, 60});
    const auto starts = evaluation_starts(split.digest(), 101, 10, -1);
    EXPECT_THAT(document_groups(split, starts, 3), ElementsAre(0, 0, 0, 1, 1, 1, 2, 2, 2, 2));
    EXPECT_THAT(document_groups(split, starts, 32), ElementsAre(0, 0, 0, 1, 1, 1, 2, 2, 2, 2));
    EXPECT_THAT(document_groups(split, starts, 2), ElementsAre(0, 0, 0, 0, 0, 0, 1, 1, 1, 1));
    EXPECT_THAT(document_groups(split, starts, 1), testing::Each(0));
    EXPECT_THAT(document_groups(split, {}, 3), IsEmpty());
    EXPECT_THROW(document_groups(split, starts, 0), std::invalid_argument);
    EXPECT_THROW(document_groups(split, std::vector<std::uint64_t>{10, 0}, 2), std::invalid_argument);
}

TEST_F(DocumentGroups, AreNearEqualForManySmallDocuments) {
    std::vector<std::uint64_t> documents;
    RandomWords random(9);
    for (std::uint64_t at = 0; at < 100000; at += 1 + random.below(300)) documents.push_back(at);
    const StoredSplit split = stored(100001, documents);
    const auto starts = evaluation_starts(split.digest(), 100001, 50, -1);
    const auto groups = document_groups(split, starts, 32);
    std::vector<int> sizes(32);
    for (std::size_t i = 0; i < groups.size(); ++i) {
        ASSERT_LT(groups[i], 32);
        ++sizes[static_cast<std::size_t>(groups[i])];
        if (i > 0) {
            EXPECT_GE(groups[i], groups[i - 1]);
            if (split.document_at(starts[i]) == split.document_at(starts[i - 1])) {
                EXPECT_EQ(groups[i], groups[i - 1]);
            }
        }
    }
    // 2000 windows in 32 groups: 62.5 each; at each end a document of at most 7 windows may fall either way.
    for (const int size : sizes) EXPECT_NEAR(size, 62.5, 8);
}

}  // namespace
}  // namespace cmsweep
