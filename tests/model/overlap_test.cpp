#include <gmock/gmock.h>

#include "corpus_fixture.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class MeasureOverlap : public CorpusTest {
protected:
    TokenSplit split(const std::vector<std::string>& documents) const {
        TokenSplit result;
        for (const auto& text : documents) {
            result.document_starts.push_back(result.tokens.size());
            result.documents.push_back(hash_text(text));
            const auto tokens = bytes_->encode(text);
            result.tokens.insert(result.tokens.end(), tokens.begin(), tokens.end());
            result.tokens.push_back(bytes_->end_of_text());
        }
        return result;
    }

    static std::string words(int first, int count) {
        std::string text;
        for (int i = 0; i < count; ++i)
            text += numbered_word('n', static_cast<std::size_t>(first + i)) + (i % 3 == 0 ? "\n" : " ");
        return text;
    }
};

TEST_F(MeasureOverlap, IsTheShareOfTheTargetsGrams) {
    // The target's 16 words have 4 grams; the training text holds the first 14 words, 2 grams.
    const TokenSplit target = split({words(0, 16)});
    EXPECT_DOUBLE_EQ(measure_overlap(split({"x " + words(0, 14) + "y"}), target, bytes_.get()).share, 0.5);
    EXPECT_DOUBLE_EQ(measure_overlap(target, target, bytes_.get()).share, 1);
    EXPECT_DOUBLE_EQ(measure_overlap(split({words(50, 100)}), target, bytes_.get()).share, 0);
    EXPECT_DOUBLE_EQ(measure_overlap(split({words(0, 12)}), target, bytes_.get()).share, 0);
    // Repeating a text in the training split or in the target changes nothing: grams are distinct.
    EXPECT_DOUBLE_EQ(
        measure_overlap(split({words(0, 14), words(0, 14)}), split({words(0, 16), words(0, 16)}), bytes_.get()).share,
        0.5);
}

TEST_F(MeasureOverlap, StopsAtTheEndOfADocument) {
    // The run of 13 words exists only across two documents of the training split.
    EXPECT_DOUBLE_EQ(measure_overlap(split({words(0, 6), words(6, 7)}), split({words(0, 13)}), bytes_.get()).share, 0);
}

TEST_F(MeasureOverlap, ComparesShortRecordsWhole) {
    const TokenSplit target = split({"what is 2 + 2", "what is 3 + 3"});
    EXPECT_DOUBLE_EQ(measure_overlap(split({"what is 2 + 2"}), target, bytes_.get()).share, 0.5);
}

TEST_F(MeasureOverlap, NamesSharedDocuments) {
    const Overlap overlap = measure_overlap(split({"c", "a", "b"}), split({"b", "d", "c", "b"}), bytes_.get());
    std::vector<Id> expected{hash_text("b"), hash_text("c")};
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(overlap.shared_documents, expected);
    EXPECT_THAT(measure_overlap(split({"a"}), split({"b"}), bytes_.get()).shared_documents, IsEmpty());
}

TEST_F(MeasureOverlap, UsesTokenGramsWithoutATokenizer) {
    TokenSplit training, target;
    for (std::uint32_t i = 0; i < 15; ++i) target.tokens.push_back(1000 + i);    // 3 grams
    for (std::uint32_t i = 0; i < 14; ++i) training.tokens.push_back(1001 + i);  // the last 2 of them
    EXPECT_DOUBLE_EQ(measure_overlap(training, target, nullptr).share, 2.0 / 3.0);
    EXPECT_DOUBLE_EQ(measure_overlap(training, TokenSplit{}, nullptr).share, 0);
    EXPECT_THROW(measure_overlap(training, target, bytes_.get()), InputError);  // these ids are no bytes
}

}  // namespace
}  // namespace cmsweep
