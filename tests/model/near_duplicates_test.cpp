#include "near_duplicates.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "corpus_fixture.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

std::vector<Document> documents_of(const std::vector<std::string>& texts) {
    std::vector<Document> documents;
    for (const auto& text : texts) documents.push_back({text, hash_text(text)});
    return documents;
}

std::vector<std::string> numbered(int first, int count) {
    std::vector<std::string> words;
    for (int i = 0; i < count; ++i) words.push_back(numbered_word('n', static_cast<std::size_t>(first + i)));
    return words;
}

TEST(NearDuplicates, NeedMoreThanHalfOfTheSmallersGrams) {
    // 22 words have 10 grams. With the first 17 words in common 5 grams are shared, with 18 words 6.
    const std::string base = join(numbered(0, 22));
    const std::string half = join(numbered(0, 17)) + " " + join(numbered(100, 5));
    const std::string more = join(numbered(0, 18)) + " " + join(numbered(100, 4));
    EXPECT_THAT(near_duplicate_groups(documents_of({base, half})), ElementsAre(0, 1));
    EXPECT_THAT(near_duplicate_groups(documents_of({base, more})), ElementsAre(0, 0));
    // Contained in a far longer one: all of the smaller's grams are shared.
    EXPECT_THAT(near_duplicate_groups(documents_of({base + " " + join(numbered(200, 500)), base})), ElementsAre(0, 0));
}

TEST(NearDuplicates, AreTransitiveAndNamedByTheFirst) {
    const std::string a = join(numbered(0, 40));
    const std::string b = join(numbered(10, 40));
    const std::string c = join(numbered(20, 40));
    EXPECT_THAT(near_duplicate_groups(documents_of({"alone", c, a, "other", b})), ElementsAre(0, 1, 1, 3, 1));
}

TEST(NearDuplicates, OfShortDocumentsDifferInSpacesOnly) {
    EXPECT_THAT(
        near_duplicate_groups(documents_of({"a few words", "a few\n\twords ", "a few other words", "few words"})),
        ElementsAre(0, 0, 2, 3));
    EXPECT_THAT(near_duplicate_groups(documents_of({" ", "\n", "x"})), ElementsAre(0, 1, 2));
    EXPECT_TRUE(near_duplicate_groups({}).empty());
}

TEST(NearDuplicates, IgnoreBoilerplate) {
    std::vector<std::string> texts;
    for (int i = 0; i < 65; ++i) texts.push_back(join(numbered(0, 40)) + " own" + std::to_string(i));
    const auto groups = near_duplicate_groups(documents_of(texts));
    EXPECT_EQ(std::set<std::uint32_t>(groups.begin(), groups.end()).size(), 65U);
    texts.pop_back();  // 64 copies still count as copies
    EXPECT_EQ(near_duplicate_groups(documents_of(texts)), std::vector<std::uint32_t>(64, 0));
}

TEST(NearDuplicates, AgreeWithTheNaiveComparison) {
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
        RandomWords random(seed);
        std::vector<std::vector<std::string>> words;
        for (int i = 0; i < 60; ++i) {
            auto document = random.words(1 + random.below(60));
            if (i > 0 && random.below(2) == 0) {  // part of an earlier one, inside new words
                const auto& earlier = words[random.below(words.size())];
                const std::size_t from = random.below(earlier.size());
                document.insert(document.begin() + static_cast<std::ptrdiff_t>(random.below(document.size())),
                                earlier.begin() + static_cast<std::ptrdiff_t>(from), earlier.end());
            }
            words.push_back(document);
        }
        std::vector<std::string> texts;
        std::vector<std::set<std::string>> grams;
        for (const auto& document : words) {
            texts.push_back(join(document));
            grams.emplace_back();
            for (std::size_t i = 0; i == 0 || i + 13 <= document.size(); ++i) {
                std::string gram;
                for (std::size_t k = i; k < std::min(i + 13, document.size()); ++k) gram += document[k] + " ";
                grams.back().insert(gram);
            }
        }
        std::vector<std::uint32_t> expected(texts.size());
        for (std::uint32_t i = 0; i < texts.size(); ++i) expected[i] = i;
        for (std::size_t a = 0; a < texts.size(); ++a) {
            for (std::size_t b = 0; b < a; ++b) {
                std::size_t shared = 0;
                for (const auto& gram : grams[a]) shared += grams[b].count(gram);
                if (2 * shared <= std::min(grams[a].size(), grams[b].size())) continue;
                const auto [low, high] = std::minmax(expected[a], expected[b]);
                const auto from = high, to = low;
                std::replace(expected.begin(), expected.end(), from, to);
            }
        }
        EXPECT_EQ(near_duplicate_groups(documents_of(texts)), expected) << seed;
        EXPECT_LT(std::set<std::uint32_t>(expected.begin(), expected.end()).size(), 55U) << "nothing to find";
    }
}

}  // namespace
}  // namespace cmsweep
