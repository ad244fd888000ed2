#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmsweep/base/files.hpp"
#include "cmsweep/base/id.hpp"
#include "cmsweep/base/tokenizer.hpp"

// Text on disk -> documents -> splits -> tokens. No torch here.
namespace cmsweep {

enum class Split { train = 0, select = 1, test = 2 };
inline constexpr std::array<Split, 3> kSplits{Split::train, Split::select, Split::test};
std::string_view split_name(Split split);

/// Where a corpus' text comes from; paths are absolute. Mirrors a [[corpus]] table of the config.
struct CorpusSource {
    std::string name;
    std::vector<std::string> files;    ///< globs
    std::vector<std::string> exclude;  ///< globs; apply to `files` only
    std::string tokens;  ///< token file, instead of `files`: little-endian uint32 if named *uint32.bin or *.u32, else uint16
    double holdout = 0.1;              ///< share of the documents (by content hash) that is held out; half select, half test
    std::vector<std::string> select_files, test_files;  ///< explicit, each taken whole and in order; then `files` is all training text
    std::string select_tokens, test_tokens;
    std::string where;                 ///< "config.toml:12: corpus[0]", for messages
};

/// One split of a corpus as tokens: documents in order, joined by end-of-text.
struct TokenSplit {
    std::vector<std::uint32_t> tokens;
    std::vector<std::uint64_t> document_starts;  ///< index of each document's first token, increasing (token files: blocks of 4096)
    std::vector<Id> documents;                   ///< content hash of each document (empty for token files)
    Id digest;                                   ///< of tokens and document_starts: part of every id that depends on this text
};

struct Corpus {
    std::string name;
    std::array<TokenSplit, 3> splits;  ///< indexed by Split
    std::uint64_t files = 0, documents = 0, duplicates = 0;  ///< duplicates: documents dropped because an identical one was there
    const TokenSplit& operator[](Split split) const { return splits[static_cast<std::size_t>(split)]; }
};

/// Reads, splits and tokenises one corpus exactly as the design's "Data" section says: documents are files; JSON lines
/// (.jsonl): records (the "text" member, else every string member joined by newlines); files over 64 KB are cut at line
/// ends into pieces of at most 64 KB that go to splits independently, `gap` tokens being dropped where two neighbouring
/// pieces fall on different sides, from the training piece (between select and test: from select), so that held-out text
/// does not depend on what lies around it; near-duplicates (over half of the 13-grams of words of the smaller are in the
/// other; grams in over 64 documents are boilerplate and do not count) go together, by the member with the smallest
/// content hash; exact duplicates are dropped. Order and split of a document depend on contents only (fixed salt), never
/// on paths or the order of files. End-of-text inside a document (bytes: NUL) is dropped.
/// select_files and test_files are taken whole and in order (of the patterns, sorted within one); their texts over 64 KB
/// count as several documents, with no end-of-text between.
/// Token files are split by position: the last `holdout` is held out, its first half select, with the same gaps.
/// A split may come out empty: whoever needs windows of it has to look.
/// `tokenizer` may be null if only token files are read. Throws InputError with all problems (a pattern that no file
/// matches, unreadable or malformed files, no text at all).
Corpus read_corpus(const CorpusSource& source, const Tokenizer* tokenizer, std::int64_t gap);

/// Every file that read_corpus() would read, in its order, by role ("files", "select_files", "tokens", …). Patterns that match nothing give
/// nothing. Throws InputError for folders that cannot be listed.
std::map<std::string, std::vector<std::filesystem::path>> corpus_files(const CorpusSource& source);

/// The splitting rule alone: 0 <= value < 1 of a document's content; held out if < holdout, of that the lower half select.
double split_value(std::string_view document);

/// Overlap of a training split with a target split: the share of the target's distinct 13-grams that occur in the
/// training split, and the documents (by content hash, increasing) that are in both. Grams are of words of the decoded
/// text, within documents (a document of under 13 words is one gram); without a tokenizer, of tokens. Both splits must
/// come from `tokenizer`. Throws InputError for ids that it does not have.
struct Overlap {
    double share = 0;
    std::vector<Id> shared_documents;
};
Overlap measure_overlap(const TokenSplit& training, const TokenSplit& target, const Tokenizer* tokenizer);

/// Cached form of a split on disk, mapped by every rank: `write_split` writes `<folder>/<digest>.tokens` (atomically, if
/// it is not there); StoredSplit maps it.
void write_split(const std::filesystem::path& folder, const TokenSplit& split);

/// What write_split() wrote, but for the hashes of documents. Throws InputError: not there, or not what `digest` says.
TokenSplit read_split(const std::filesystem::path& folder, const Id& digest);

class StoredSplit {
public:
    /// Throws InputError: not there, or damaged (header, size, document starts; tokens are not hashed again).
    StoredSplit(const std::filesystem::path& folder, const Id& digest);
    std::uint64_t size() const { return size_; }
    std::uint32_t token(std::uint64_t index) const;
    /// Copies tokens [start, start + out.size()) as int64.
    void copy(std::uint64_t start, std::span<std::int64_t> out) const;
    /// Index of the document that holds token `index`.
    std::uint64_t document_at(std::uint64_t index) const;
    std::uint64_t documents() const { return document_starts_.size(); }
    std::span<const std::uint64_t> document_starts() const { return document_starts_; }
    const Id& digest() const { return digest_; }

private:
    MappedFile file_;
    Id digest_;
    std::uint64_t size_ = 0;
    int width_ = 2;  ///< bytes a token: 2 or 4
    std::span<const std::byte> tokens_;
    std::span<const std::uint64_t> document_starts_;
};

/// How many windows of `context` a split of `tokens` tokens offers: a window needs context + 1 tokens.
std::int64_t available_windows(std::uint64_t tokens, std::int64_t context);

/// Starts of the evaluation windows: all of the grid 0, T, 2T, … (`count` < 0), or `count` of them drawn without
/// replacement from a stream keyed by the split's digest alone, in increasing order. count > available: all of them.
std::vector<std::uint64_t> evaluation_starts(const Id& split_digest, std::uint64_t tokens, std::int64_t context, std::int64_t count);

/// Jackknife group of each window (0, 1, … without holes): whole documents, in order, into at most `groups` groups of
/// near-equal window counts. A window belongs to the document of its first token. `starts` increases.
std::vector<std::int32_t> document_groups(const StoredSplit& split, std::span<const std::uint64_t> starts, int groups);

}  // namespace cmsweep
