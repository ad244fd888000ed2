#include "cmsweep/model/corpus.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <set>

#include "corpus_fixture.hpp"

namespace cmsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;
using Tokens = std::vector<std::uint32_t>;

class ReadCorpus : public CorpusTest {
protected:
    /// Which split holds a document whose text starts so?
    Split split_with(const Corpus& corpus, const std::string& start) const {
        for (const Split which : kSplits) {
            for (const auto& text : texts(corpus[which])) {
                if (text.starts_with(start)) return which;
            }
        }
        throw std::runtime_error("no document starts with " + start);
    }

    void write_tokens(const std::string& name, const Tokens& tokens, int width) const {
        std::string bytes;
        for (const std::uint32_t token : tokens) {
            for (int i = 0; i < width; ++i) bytes += static_cast<char>(token >> (8 * i) & 0xFF);
        }
        write(name, bytes);
    }

    static Tokens counting(std::uint32_t first, std::uint32_t count) {
        Tokens tokens(count);
        for (std::uint32_t i = 0; i < count; ++i) tokens[i] = first + i;
        return tokens;
    }
};

TEST(SplitValue, IsPinned) {
    // Computed by this code once. If these change, every held-out document of every published sweep moves.
    EXPECT_EQ(split_value(""), 0x1.c9961185ea819p-1);
    EXPECT_EQ(split_value("hello"), 0x1.043f90a72617cp-1);
}

TEST(SplitValue, IsUniform) {
    // 4000 values in 10 bins: the expected count is 400 with a standard deviation of 19; five of those are allowed.
    std::array<int, 10> bins{};
    for (int i = 0; i < 4000; ++i) {
        const double value = split_value("document " + std::to_string(i));
        ASSERT_GE(value, 0);
        ASSERT_LT(value, 1);
        ++bins[static_cast<std::size_t>(value * 10)];
    }
    for (const int count : bins) EXPECT_NEAR(count, 400, 95);
}

TEST(SplitName, NamesEach) {
    EXPECT_EQ(split_name(Split::train), "train");
    EXPECT_EQ(split_name(Split::select), "select");
    EXPECT_EQ(split_name(Split::test), "test");
}

TEST_F(ReadCorpus, JoinsDocumentsByHashWithEndOfText) {
    write("a.txt", "alpha");
    write("b.txt", "beta!");
    auto s = source({"*.txt"});
    s.holdout = 0;
    const Corpus corpus = read(s);
    std::vector<std::string> expected{"alpha", "beta!"};
    if (hash_text("beta!") < hash_text("alpha")) std::swap(expected[0], expected[1]);
    const TokenSplit& train = corpus[Split::train];
    EXPECT_EQ(bytes_->decode(train.tokens), expected[0] + '\0' + expected[1] + '\0');
    EXPECT_THAT(train.document_starts, ElementsAre(0, 6));
    EXPECT_THAT(train.documents, ElementsAre(hash_text(expected[0]), hash_text(expected[1])));
    EXPECT_EQ(corpus.files, 2U);
    EXPECT_EQ(corpus.documents, 2U);
    EXPECT_EQ(corpus.name, "c");
    EXPECT_THAT(corpus[Split::test].tokens, IsEmpty());
}

TEST_F(ReadCorpus, SplitsEachDocumentByItsValue) {
    RandomWords random(1);
    std::map<Split, std::set<std::string>> expected;
    for (int i = 0; i < 400; ++i) {
        const std::string text = random.text(30);  // 18 random 13-grams: no near-duplicates
        write(std::to_string(i), text);
        const double value = split_value(text);
        expected[value >= 0.3 ? Split::train : value < 0.15 ? Split::select : Split::test].insert(text);
    }
    auto s = source({"*"});
    s.holdout = 0.3;
    const Corpus corpus = read(s);
    for (const Split which : kSplits) {
        const auto found = texts(corpus[which]);
        EXPECT_EQ(std::set<std::string>(found.begin(), found.end()), expected[which]) << split_name(which);
        EXPECT_THAT(found, SizeIs(testing::Gt(20U)));
        EXPECT_TRUE(std::is_sorted(corpus[which].documents.begin(), corpus[which].documents.end()));
    }
}

TEST_F(ReadCorpus, DependsOnContentsOnly) {
    RandomWords random(2);
    std::vector<std::string> contents;
    for (int i = 0; i < 60; ++i) contents.push_back(random.text(20 + random.below(400)));
    for (int i = 0; i < 20; ++i) contents.push_back(contents[random.below(60)] + random.text(15));  // near-duplicates
    contents.push_back(random.text(60000));                                                         // pieces
    contents.push_back(contents[3]);                                                                // a duplicate
    for (std::size_t i = 0; i < contents.size(); ++i) {
        write("one/" + std::to_string(i) + ".txt", contents[i]);
        write("two/deep/" + std::to_string(i % 3) + "/z" + std::to_string(1000 - i) + ".py", contents[i]);
    }
    auto one = source({"one/*.txt"});
    auto two = source({"two/**/*5*.py", "two/**/*.py"});
    two.name = "other";
    one.holdout = two.holdout = 0.3;
    const Corpus a = read(one, 100);
    const Corpus b = read(two, 100);
    for (const Split which : kSplits) {
        EXPECT_FALSE(a[which].tokens.empty());
        EXPECT_EQ(a[which].digest, b[which].digest);
        EXPECT_EQ(a[which].tokens, b[which].tokens);
        EXPECT_EQ(a[which].documents, b[which].documents);
    }
    EXPECT_EQ(a.duplicates, 1U);
    EXPECT_EQ(b.duplicates, 1U);
}

TEST_F(ReadCorpus, DigestIsOfTokensAndDocumentStarts) {
    auto s = source({"*.txt"});
    s.holdout = 0;
    write("a.txt", "some text");
    const Id first = read(s)[Split::train].digest;
    EXPECT_EQ(read(s)[Split::train].digest, first);
    write("a.txt", "some texts");
    EXPECT_NE(read(s)[Split::train].digest, first);
}

TEST_F(ReadCorpus, DropsExactDuplicatesAndCountsThem) {
    for (const char* name : {"a", "b", "c"}) write(name, "the same text");
    write("d", "another");
    auto s = source({"*"});
    s.holdout = 0;
    const Corpus corpus = read(s);
    EXPECT_EQ(corpus.duplicates, 2U);
    EXPECT_EQ(corpus.documents, 2U);
    EXPECT_THAT(texts(corpus[Split::train]), UnorderedElementsAre("the same text", "another"));
}

TEST_F(ReadCorpus, KeepsNearDuplicatesOnOneSide) {
    RandomWords random(3);
    for (int i = 0; i < 150; ++i) {
        const std::string id = std::to_string(i);
        const std::string shared = random.text(100);
        write(id + "a", "first" + id + " " + shared);
        write(id + "b", "second" + id + " " + shared + random.text(40));
    }
    auto s = source({"*"});
    s.holdout = 0.5;
    const Corpus corpus = read(s);
    std::map<Split, int> counts;
    for (int i = 0; i < 150; ++i) {
        const std::string id = std::to_string(i);
        const Split a = split_with(corpus, "first" + id + " ");
        EXPECT_EQ(split_with(corpus, "second" + id + " "), a) << id;
        ++counts[a];
    }
    // Two random documents would part in 5 of 8 cases, so 150 agreeing pairs are no accident; and all splits occur.
    for (const Split which : kSplits) EXPECT_GT(counts[which], 10);
}

TEST_F(ReadCorpus, DoesNotChainDocumentsByTheirLicence) {
    RandomWords random(4);
    const std::string licence = random.text(50);
    for (int i = 0; i < 200; ++i) write(std::to_string(i), licence + random.text(20));
    auto s = source({"*"});
    s.holdout = 0.5;
    const Corpus corpus = read(s);
    for (const Split which : kSplits) EXPECT_GT(corpus[which].documents.size(), 20U) << split_name(which);
}

TEST_F(ReadCorpus, CutsLargeFilesAndDropsTheGapBeforeTheMoreHeldOut) {
    RandomWords random(5);
    const std::string text = random.text(300000);
    ASSERT_GT(text.size(), 20U << 16);
    write("big.txt", text);
    auto s = source({"big.txt"});
    s.holdout = 0.5;
    constexpr std::size_t kGap = 100;
    const Corpus corpus = read(s, kGap);

    // The naive cut: as many whole lines as fit into 64 KiB.
    std::vector<std::string> pieces(1);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
        if (pieces.back().size() + end - at > 64 * 1024) pieces.emplace_back();
        pieces.back() += text.substr(at, end - at);
        at = end;
    }
    const auto side = [&](std::size_t i) {
        const double value = split_value(pieces[i]);
        return value >= 0.5 ? Split::train : value < 0.25 ? Split::select : Split::test;
    };
    std::map<Id, std::string> expected;
    std::set<std::pair<Split, Split>> borders;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
        std::string kept = pieces[i];
        if (i + 1 < pieces.size() && side(i) < side(i + 1)) kept.resize(kept.size() - kGap);
        if (i > 0 && side(i) < side(i - 1)) kept = kept.substr(kGap);
        expected[hash_text(pieces[i])] = kept;
        if (i > 0) borders.insert({side(i - 1), side(i)});
    }
    EXPECT_TRUE(borders.contains({Split::train, Split::test}) || borders.contains({Split::train, Split::select}));
    EXPECT_TRUE(borders.contains({Split::test, Split::train}) || borders.contains({Split::select, Split::train}));
    std::size_t documents = 0;
    for (const Split which : kSplits) {
        const auto found = texts(corpus[which]);
        for (std::size_t i = 0; i < found.size(); ++i) {
            EXPECT_EQ(found[i], expected.at(corpus[which].documents[i]));
            ++documents;
        }
    }
    EXPECT_EQ(documents, pieces.size());
    EXPECT_EQ(corpus.documents, pieces.size());
}

TEST_F(ReadCorpus, CutsLinesThatAreTooLongBetweenCharacters) {
    std::string text;
    while (text.size() < 200000) text += "\xE2\x82\xAC";  // 65536 is no multiple of 3
    write("line", text);
    auto s = source({"line"});
    s.holdout = 0;
    // Three pieces of 65535 bytes, identical and so kept once, and the rest.
    EXPECT_THAT(texts(read(s)[Split::train]),
                UnorderedElementsAre(text.substr(0, 65535), text.substr(0, text.size() - 3 * 65535)));
    EXPECT_EQ(read(s).duplicates, 2U);
}

TEST_F(ReadCorpus, DropsPiecesThatTheGapSwallows) {
    RandomWords random(6);
    write("big", random.text(60000));
    auto s = source({"big"});
    s.holdout = 0.5;
    const Corpus corpus = read(s, 1 << 20);
    std::size_t kept = 0;
    for (const Split which : kSplits) {
        kept += corpus[which].documents.size();
        EXPECT_EQ(corpus[which].documents.size(), corpus[which].document_starts.size());
    }
    EXPECT_LT(kept, read(s, 0).documents);
    EXPECT_EQ(kept, corpus.documents);
}

TEST_F(ReadCorpus, DropsNulBytes) {
    using namespace std::string_literals;
    write("a", "x\0y\0"s);
    write("b", "\0\0"s);
    auto s = source({"*"});
    s.holdout = 0;
    const Corpus corpus = read(s);
    EXPECT_THAT(corpus[Split::train].tokens, ElementsAre('x', 'y', 0));
    EXPECT_EQ(corpus.documents, 1U);
}

TEST_F(ReadCorpus, ReadsJsonLinesAsRecords) {
    write("data.jsonl",
          "{\"text\": \"one\", \"source\": \"web\"}\n"
          "\n"
          "{\"question\": \"2 + 2?\", \"id\": 7, \"answer\": \"four\\u0000\"}\r\n"
          "\"bare\"");
    auto s = source({"*.jsonl"});
    s.holdout = 0;
    EXPECT_THAT(texts(read(s)[Split::train]), UnorderedElementsAre("one", "2 + 2?\nfour", "bare"));
}

TEST_F(ReadCorpus, TakesTheLastOfMembersThatOccurTwice) {
    write("data.jsonl", R"({"a": "first", "b": {"text": "deep", "c": ["x"]}, "a": "last", "d": "kept", "d": 3})");
    auto s = source({"*.jsonl"});
    s.holdout = 0;
    EXPECT_THAT(texts(read(s)[Split::train]), ElementsAre("last"));
}

TEST_F(ReadCorpus, ReadsARecordOfManyMembersInTimeAndMemoryOfItsLength) {
    // With a search through all earlier members for each one, this would take days.
    std::string line = "{";
    for (int i = 0; i < 1'000'000; ++i) line.append("\"").append(std::to_string(i)).append("\":0,");
    write("data.jsonl", line + "\"a\":\"text\"}\n");
    auto s = source({"*.jsonl"});
    s.holdout = 0;
    EXPECT_THAT(texts(read(s)[Split::train]), ElementsAre("text"));
}

TEST_F(ReadCorpus, SurvivesDeeplyNestedRecords) {
    const std::size_t depth = 1'000'000;
    write("data.jsonl", "{\"text\":\"one\",\"n\":" + std::string(depth, '[') + std::string(depth, ']') + "}\n");
    auto s = source({"*.jsonl"});
    s.holdout = 0;
    EXPECT_THAT(texts(read(s)[Split::train]), ElementsAre("one"));
}

TEST_F(ReadCorpus, NamesTheLineOfABadRecord) {
    write("data.jsonl", "{\"text\": \"one\"}\n{\"text\": \n[1]\n{\"n\": 1}\n");
    EXPECT_THAT(problem_of([&] { read(source({"data.jsonl"})); }),
                AllOf(HasSubstr("sweep.toml:7: corpus[0].files: " + path("data.jsonl") + ":2: not valid JSON"),
                      HasSubstr("data.jsonl:3: expected an object or a string"),
                      HasSubstr("data.jsonl:4: the record has no text")));
}

TEST_F(ReadCorpus, TakesExplicitHeldOutFilesWholeAndInOrder) {
    write("train/a", "training text");
    write("train/b", "more of it");
    write("val/2", "zwei");
    write("val/1", "eins");
    write("val/0", "drei");
    write("t", "the test");
    auto s = source({"train/*"});
    s.select_files = {path("val/2"), path("val/*")};
    s.test_files = {path("t")};
    s.holdout = 0.9;  // means nothing here
    const Corpus corpus = read(s);
    EXPECT_THAT(texts(corpus[Split::train]), UnorderedElementsAre("training text", "more of it"));
    EXPECT_THAT(texts(corpus[Split::select]), ElementsAre("zwei", "drei", "eins"));
    EXPECT_THAT(texts(corpus[Split::test]), ElementsAre("the test"));
    EXPECT_EQ(corpus.files, 6U);
    EXPECT_EQ(corpus.documents, 6U);

    s.files.clear();
    EXPECT_THAT(read(s)[Split::train].tokens, IsEmpty());
    EXPECT_EQ(read(s)[Split::test].digest, corpus[Split::test].digest);
}

TEST_F(ReadCorpus, KeepsLargeExplicitFilesContiguous) {
    RandomWords random(7);
    const std::string text = random.text(30000);
    ASSERT_GT(text.size(), 2U << 16);
    write("t", text);
    auto s = source({});
    s.select_files = s.test_files = {path("t")};
    const Corpus corpus = read(s, 1000);
    EXPECT_EQ(bytes_->decode(corpus[Split::test].tokens), text + '\0');
    EXPECT_THAT(corpus[Split::test].document_starts, SizeIs((text.size() >> 16) + 1));
    // As training text the same pieces have the same hashes, so that a copy is recognised.
    auto training = source({"t"});
    training.holdout = 0;
    const Corpus other = read(training);
    EXPECT_THAT(corpus[Split::test].documents, testing::UnorderedElementsAreArray(other[Split::train].documents));
}

TEST_F(ReadCorpus, Excludes) {
    write("a/keep.py", "keep");
    write("a/tests/drop.py", "drop");
    auto s = source({"**/*.py"});
    s.exclude = {"**/tests/**"};
    s.holdout = 0;
    EXPECT_THAT(texts(read(s)[Split::train]), ElementsAre("keep"));
    s.exclude = {"**/*.py"};
    EXPECT_THAT(problem_of([&] { read(s); }), HasSubstr("`exclude` leaves no file"));
}

TEST_F(ReadCorpus, ReportsAllThatIsMissing) {
    write("a", "text");
    auto s = source({"a", "*.py", "b"});
    const std::string problem = problem_of([&] { read(s); });
    EXPECT_THAT(problem, AllOf(HasSubstr("sweep.toml:7: corpus[0].files: no file matches \"" + path("*.py") + "\""),
                               HasSubstr(path("b"))));
}

TEST_F(ReadCorpus, RefusesAnEmptyCorpus) {
    write("a", "");
    write("b", std::string_view("\0", 1));
    EXPECT_THAT(problem_of([&] { read(source({"*"})); }), HasSubstr("sweep.toml:7: corpus[0]: holds no text"));
}

TEST_F(ReadCorpus, RefusesUnreadableFiles) {
    write("a", "text");
    write("b", "text");
    for (const char* name : {"a", "b"}) std::filesystem::permissions(path(name), std::filesystem::perms::none);
    // Permissions do not stop root, so root becomes somebody else for a moment.
    const bool root = geteuid() == 0;
    ASSERT_EQ(seteuid(root ? 65534 : geteuid()), 0);
    const std::string problem = problem_of([&] { read(source({"*"})); });
    ASSERT_EQ(seteuid(root ? 0 : geteuid()), 0);
    EXPECT_THAT(problem,
                AllOf(HasSubstr("sweep.toml:7: corpus[0].files: "), HasSubstr(path("a")), HasSubstr(path("b"))));
}

TEST_F(ReadCorpus, RefusesContradictorySources) {
    write("a", "text");
    auto s = source({"a"});
    s.tokens = path("t.bin");
    s.select_files = {path("a")};
    s.select_tokens = path("t.bin");
    s.holdout = 1.5;
    EXPECT_THAT(problem_of([&] { read(s); }),
                AllOf(HasSubstr("mixes text and token files"), HasSubstr("select_files and test_files"),
                      HasSubstr("select_tokens and test_tokens"), HasSubstr("holdout = 1.5")));
    EXPECT_THAT(problem_of([&] { read(source({})); }), HasSubstr("names no text"));
    EXPECT_THAT(problem_of([&] { read_corpus(source({"a"}), nullptr, 0); }), HasSubstr("names no tokenizer"));
    EXPECT_THROW(read_corpus(source({"a"}), bytes_.get(), -1), std::invalid_argument);
}

TEST_F(ReadCorpus, SplitsATokenFileByPosition) {
    write_tokens("t.bin", counting(0, 1000), 2);
    auto s = source({});
    s.tokens = path("t.bin");
    s.holdout = 0.2;
    const Corpus corpus = read_corpus(s, nullptr, 7);
    EXPECT_EQ(corpus[Split::train].tokens, counting(0, 793));
    EXPECT_EQ(corpus[Split::select].tokens, counting(800, 93));
    EXPECT_EQ(corpus[Split::test].tokens, counting(900, 100));
    EXPECT_THAT(corpus[Split::test].document_starts, ElementsAre(0));
    EXPECT_THAT(corpus[Split::test].documents, IsEmpty());
    EXPECT_EQ(corpus.files, 1U);
    s.holdout = 0;
    EXPECT_EQ(read_corpus(s, nullptr, 7)[Split::train].tokens, counting(0, 1000));
    s.holdout = 1;
    EXPECT_THAT(read_corpus(s, nullptr, 600)[Split::train].tokens, IsEmpty());
}

TEST_F(ReadCorpus, TellsTokenWidthsByName) {
    const Tokens tokens{1, 70000, 50256, 4000000000U};
    for (const char* name : {"train_uint32.bin", "train.u32"}) {
        write_tokens(name, tokens, 4);
        auto s = source({});
        s.tokens = path(name);
        s.holdout = 0;
        EXPECT_EQ(read_corpus(s, nullptr, 0)[Split::train].tokens, tokens);
    }
}

TEST_F(ReadCorpus, TakesExplicitTokenFilesWhole) {
    write_tokens("train.bin", counting(0, 10000), 2);
    write_tokens("val.bin", counting(5, 10), 2);
    write_tokens("test.bin", counting(60000, 5000), 2);
    auto s = source({});
    s.tokens = path("train.bin");
    s.select_tokens = path("val.bin");
    s.test_tokens = path("test.bin");
    const Corpus corpus = read_corpus(s, nullptr, 1024);
    EXPECT_EQ(corpus[Split::train].tokens, counting(0, 10000));
    EXPECT_THAT(corpus[Split::train].document_starts, ElementsAre(0, 4096, 8192));
    EXPECT_EQ(corpus[Split::select].tokens, counting(5, 10));
    EXPECT_EQ(corpus[Split::test].tokens, counting(60000, 5000));
    s.tokens.clear();
    EXPECT_EQ(read_corpus(s, nullptr, 1024)[Split::test].digest, corpus[Split::test].digest);
}

TEST_F(ReadCorpus, RefusesBadTokenFiles) {
    auto s = source({});
    s.tokens = path("missing.bin");
    EXPECT_THAT(problem_of([&] { read(s); }), AllOf(HasSubstr("corpus[0].tokens: "), HasSubstr("missing.bin")));
    write("odd.bin", "abc");
    s.tokens = path("odd.bin");
    EXPECT_THAT(problem_of([&] { read(s); }), AllOf(HasSubstr("3 bytes"), HasSubstr("multiple of 2")));
    write("short.u32", "abcdef");
    s.tokens = path("short.u32");
    EXPECT_THAT(problem_of([&] { read(s); }), HasSubstr("multiple of 4"));
    write("empty.bin", "");
    s.tokens = path("empty.bin");
    EXPECT_THAT(problem_of([&] { read(s); }), HasSubstr("is empty"));
    s.tokens = folder_.string();
    EXPECT_THAT(problem_of([&] { read(s); }), HasSubstr(folder_.string()));
}

}  // namespace
}  // namespace cmsweep
