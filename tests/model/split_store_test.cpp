#include "split_store.hpp"

#include <gmock/gmock.h>

#include "corpus_fixture.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SplitStore : public CorpusTest {
protected:
    static TokenSplit split(std::vector<std::uint32_t> tokens, std::vector<std::uint64_t> starts) {
        TokenSplit result;
        result.tokens = std::move(tokens);
        result.document_starts = std::move(starts);
        result.digest = digest_of(result);
        return result;
    }

    std::filesystem::path file(const TokenSplit& s) const { return folder_ / (s.digest.hex() + ".tokens"); }

    std::string contents(const TokenSplit& s) const {
        std::ifstream in(file(s), std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

TEST_F(SplitStore, ReturnsWhatWasWritten) {
    for (const std::uint32_t largest : {65535U, 65536U, 4294967295U}) {
        const TokenSplit s = split({5, 0, 7, largest, 9}, {0, 2, 3});
        write_split(folder_, s);
        EXPECT_EQ(std::filesystem::file_size(file(s)), 48 + 3 * 8 + 5 * (largest > 65535 ? 4U : 2U));
        const StoredSplit stored(folder_, s.digest);
        EXPECT_EQ(stored.size(), 5U);
        EXPECT_EQ(stored.documents(), 3U);
        EXPECT_EQ(stored.digest(), s.digest);
        for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(stored.token(i), s.tokens[i]);
        std::vector<std::int64_t> window(3);
        stored.copy(2, window);
        EXPECT_THAT(window, ElementsAre(7, static_cast<std::int64_t>(largest), 9));
        std::vector<std::uint64_t> documents;
        for (std::uint64_t i = 0; i < 5; ++i) documents.push_back(stored.document_at(i));
        EXPECT_THAT(documents, ElementsAre(0, 0, 1, 2, 2));
        EXPECT_THROW(stored.token(5), std::out_of_range);
        EXPECT_THROW(stored.document_at(5), std::out_of_range);
        EXPECT_THROW(stored.copy(3, window), std::out_of_range);
        EXPECT_THROW(stored.copy(~std::uint64_t{0}, window), std::out_of_range);
    }
}

TEST_F(SplitStore, KeepsLongSplits) {
    std::vector<std::uint32_t> tokens(200001);  // several chunks, the last of another size
    for (std::size_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<std::uint32_t>(i * 7919 % 50257);
    const TokenSplit s = split(tokens, {0});
    write_split(folder_, s);
    const StoredSplit stored(folder_, s.digest);
    std::vector<std::int64_t> all(tokens.size());
    stored.copy(0, all);
    EXPECT_TRUE(std::equal(all.begin(), all.end(), tokens.begin()));
}

TEST_F(SplitStore, KeepsAnEmptySplit) {
    const TokenSplit s = split({}, {});
    write_split(folder_, s);
    EXPECT_EQ(StoredSplit(folder_, s.digest).size(), 0U);
}

TEST_F(SplitStore, WritesOnlyWhatIsNotThere) {
    const TokenSplit s = split({1, 2, 3}, {0});
    write_split(folder_, s);
    const auto old = std::filesystem::file_time_type{} + std::chrono::hours(1);
    std::filesystem::last_write_time(file(s), old);
    write_split(folder_, s);
    EXPECT_EQ(std::filesystem::last_write_time(file(s)), old);
    std::filesystem::resize_file(file(s), 10);
    write_split(folder_, s);
    EXPECT_EQ(StoredSplit(folder_, s.digest).token(2), 3U);
}

TEST_F(SplitStore, RefusesDamagedFiles) {
    const TokenSplit s = split({1, 2, 3, 4}, {0, 2});
    write_split(folder_, s);
    const std::string good = contents(s);
    const std::string name = file(s).filename().string();
    for (std::size_t size = 0; size < good.size(); ++size) {
        write(name, good.substr(0, size));
        EXPECT_THROW(StoredSplit(folder_, s.digest), InputError) << size;
    }
    const std::size_t header_and_starts = 48 + 16;
    for (std::size_t at = 0; at < header_and_starts; ++at) {
        if (at >= 12 && at < 16) continue;  // the reserved field
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 0x80);
        write(name, bad);
        EXPECT_THROW(StoredSplit(folder_, s.digest), InputError) << at;
    }
    std::filesystem::remove(file(s));
    EXPECT_THAT(problem_of([&] { StoredSplit(folder_, s.digest); }), HasSubstr(name));
}

TEST_F(SplitStore, DigestSeparatesTokensFromStarts) {
    const Id base = split({1, 2, 3, 4}, {0, 2}).digest;
    EXPECT_EQ(split({1, 2, 3, 4}, {0, 2}).digest, base);
    EXPECT_NE(split({1, 2, 3, 4}, {0, 3}).digest, base);
    EXPECT_NE(split({1, 2, 3, 5}, {0, 2}).digest, base);
    EXPECT_NE(split({1, 2, 3, 4, 0, 0}, {2}).digest, base);  // the same bytes, otherwise divided
}

}  // namespace
}  // namespace cmsweep
