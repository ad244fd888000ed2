#include "cmsweep/model/corpus.hpp"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "documents.hpp"
#include "near_duplicates.hpp"
#include "split_store.hpp"
#include "token_file.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

/// A token file does not say where its documents lie; blocks of this many tokens stand for them.
constexpr std::size_t kTokenBlock = 4096;

Split split_of(double value, double holdout) {
    if (value >= holdout) return Split::train;
    return value < holdout / 2 ? Split::select : Split::test;
}

std::vector<fs::path> without_excluded(std::vector<fs::path> files, const std::vector<std::string>& exclude) {
    std::erase_if(files, [&](const fs::path& file) {
        return std::any_of(exclude.begin(), exclude.end(), [&](const std::string& e) { return glob_matches(e, file.string()); });
    });
    return files;
}

/// The state of reading one corpus: what was found so far, and what is wrong.
class CorpusReader {
public:
    CorpusReader(const CorpusSource& source, const Tokenizer* tokenizer, std::int64_t gap)
        : source_(source), tokenizer_(tokenizer), gap_(static_cast<std::size_t>(gap)) {
        corpus_.name = source.name;
        where_ = source.where.empty() ? "corpus \"" + source.name + "\"" : source.where;
    }

    Corpus read() {
        check_source();
        if (source_.tokens.empty() && source_.select_tokens.empty()) {
            read_text_files();
        } else {
            read_token_files();
        }
        bool empty = true;
        for (TokenSplit& split : corpus_.splits) {
            split.digest = digest_of(split);
            corpus_.documents += split.documents.size();
            empty = empty && split.tokens.empty();
        }
        if (empty) throw InputError(where_ + ": holds no text: every file that matched is empty");
        return std::move(corpus_);
    }

private:
    void problem(const std::string& text) { problems_.push_back(where_ + text); }
    void stop_if_wrong() const {
        if (!problems_.empty()) throw InputError(problems_);
    }

    /// Runs `action`; what it finds wrong is kept, to be reported together.
    template <class Action>
    void keep_problems(const std::string& key, Action&& action) {
        try {
            action();
        } catch (const InputError& error) {
            for (const std::string& text : error.problems()) problem(key + ": " + text);
        }
    }

    TokenSplit& split(Split which) { return corpus_.splits[static_cast<std::size_t>(which)]; }

    void check_source() {
        const bool text = !source_.files.empty() || !source_.select_files.empty() || !source_.test_files.empty();
        const bool tokens = !source_.tokens.empty() || !source_.select_tokens.empty() || !source_.test_tokens.empty();
        if (!text && !tokens) problem(": names no text: expected files, tokens, or held-out files");
        if (text && tokens) problem(": mixes text and token files: expected one or the other");
        if (source_.select_files.empty() != source_.test_files.empty()) {
            problem(": expected select_files and test_files together, or neither");
        }
        if (source_.select_tokens.empty() != source_.test_tokens.empty()) {
            problem(": expected select_tokens and test_tokens together, or neither");
        }
        if (!(source_.holdout >= 0 && source_.holdout <= 1)) {
            problem(".holdout = " + std::to_string(source_.holdout) + ": expected a share from 0 to 1");
        }
        if (text && tokenizer_ == nullptr)
            problem(": has text files, but the model names no tokenizer to read them with");
        stop_if_wrong();
    }

    // --- text
    // ---------------------------------------------------------------------------------------------------------

    /// Files that match, each once, in the order of the patterns and sorted within one.
    std::vector<fs::path> find_files(const std::vector<std::string>& patterns, const std::string& key,
                                     const std::vector<std::string>& exclude) {
        std::vector<fs::path> files;
        std::set<fs::path> seen;
        for (const std::string& pattern : patterns) {
            std::vector<fs::path> matches;
            keep_problems("." + key, [&] {
                matches = glob(pattern);
                if (matches.empty()) throw InputError("no file matches \"" + pattern + "\"");
            });
            for (const fs::path& file : without_excluded(matches, exclude)) {
                if (seen.insert(file).second) files.push_back(file);
            }
        }
        if (files.empty() && !patterns.empty() && problems_.empty()) {
            problem("." + key + ": `exclude` leaves no file of those that match");
        }
        corpus_.files += files.size();
        return files;
    }

    void read_text_files() {
        const auto files = find_files(source_.files, "files", source_.exclude);
        const auto select = find_files(source_.select_files, "select_files", {});
        const auto test = find_files(source_.test_files, "test_files", {});
        stop_if_wrong();
        const bool explicit_splits = !source_.select_files.empty();
        keep_problems(".files", [&] { read_and_split(files, explicit_splits ? 0 : source_.holdout); });
        keep_problems(".select_files", [&] { read_whole(select, Split::select); });
        keep_problems(".test_files", [&] { read_whole(test, Split::test); });
        stop_if_wrong();
    }

    void read_and_split(const std::vector<fs::path>& files, double holdout) {
        DocumentSet set = read_documents(files);
        corpus_.duplicates += set.duplicates;
        const std::size_t count = set.documents.size();
        std::vector<Split> splits(count, Split::train);
        if (holdout > 0) {
            const auto groups = near_duplicate_groups(set.documents);
            for (std::size_t i = 0; i < count; ++i)
                splits[i] = split_of(split_value(set.documents[groups[i]].text), holdout);
        }
        // Where neighbouring pieces part, the one of the less precious split gives way (training before select before
        // test), so that a held-out text never depends on what lies around it, and a test text is always whole.
        std::vector<bool> lose_head(count), lose_tail(count);
        for (const auto& [before, after] : set.neighbours) {
            if (splits[before] < splits[after]) lose_tail[before] = true;
            if (splits[after] < splits[before]) lose_head[after] = true;
        }
        for (std::size_t i = 0; i < count; ++i) {
            Document& document = set.documents[i];
            auto tokens = encode(document.text);
            document.text = {};  // memory: the tokens of a large corpus take more than its text
            const std::size_t head = lose_head[i] ? gap_ : 0;
            const std::size_t tail = lose_tail[i] ? gap_ : 0;
            if (tokens.size() <= head + tail) continue;
            append(split(splits[i]), std::span(tokens).subspan(head, tokens.size() - head - tail), document.hash);
            split(splits[i]).tokens.push_back(tokenizer_->end_of_text());
        }
    }

    /// The pieces of one text follow each other without end of text: they are only documents of their own for counting
    /// and for comparing with other splits.
    void read_whole(const std::vector<fs::path>& files, Split which) {
        for (const fs::path& file : files) {
            for (const std::string& text : read_texts(file)) {
                const std::size_t before = split(which).tokens.size();
                for (const std::string_view piece : cut_pieces(text))
                    append(split(which), encode(piece), hash_text(piece));
                if (split(which).tokens.size() > before) split(which).tokens.push_back(tokenizer_->end_of_text());
            }
        }
        if (!files.empty() && split(which).tokens.empty()) throw InputError("every file is empty");
    }

    /// A document's tokens never hold end-of-text: for bytes that drops NULs, for BPE there are none.
    std::vector<std::uint32_t> encode(std::string_view text) const {
        auto tokens = tokenizer_->encode(text);
        std::erase(tokens, tokenizer_->end_of_text());
        return tokens;
    }

    static void append(TokenSplit& split, std::span<const std::uint32_t> tokens, const Id& hash) {
        if (tokens.empty()) return;
        split.document_starts.push_back(split.tokens.size());
        split.documents.push_back(hash);
        split.tokens.insert(split.tokens.end(), tokens.begin(), tokens.end());
    }

    // --- token files
    // ----------------------------------------------------------------------------------------------------

    void read_token_files() {
        const auto read = [&](const std::string& path, const std::string& key) {
            std::vector<std::uint32_t> tokens;
            if (path.empty()) return tokens;
            keep_problems("." + key, [&] { tokens = read_token_file(path); });
            ++corpus_.files;
            return tokens;
        };
        const auto all = read(source_.tokens, "tokens");
        const auto select = read(source_.select_tokens, "select_tokens");
        const auto test = read(source_.test_tokens, "test_tokens");
        stop_if_wrong();
        if (!source_.select_tokens.empty()) {
            take(Split::train, all);
            take(Split::select, select);
            take(Split::test, test);
            return;
        }
        // The end of the file is held out. As with pieces of text, the less precious split gives way at a border.
        const std::span<const std::uint32_t> tokens = all;
        const auto held_out = static_cast<std::size_t>(static_cast<double>(tokens.size()) * source_.holdout);
        const std::size_t train = tokens.size() - held_out;
        const std::size_t chosen = held_out / 2;
        const auto without_gap = [&](std::size_t size, bool border) {
            return size - std::min(size, border ? gap_ : 0);
        };
        take(Split::train, tokens.first(without_gap(train, held_out > 0)));
        take(Split::select, tokens.subspan(train, without_gap(chosen, true)));
        take(Split::test, tokens.subspan(train + chosen));
    }

    void take(Split which, std::span<const std::uint32_t> tokens) {
        split(which).tokens.assign(tokens.begin(), tokens.end());
        for (std::size_t at = 0; at < tokens.size(); at += kTokenBlock) split(which).document_starts.push_back(at);
    }

    const CorpusSource& source_;
    const Tokenizer* tokenizer_;
    std::size_t gap_;
    std::string where_;
    std::vector<std::string> problems_;
    Corpus corpus_;
};

}  // namespace

std::string_view split_name(Split split) {
    switch (split) {
        case Split::train:
            return "train";
        case Split::select:
            return "select";
        case Split::test:
            return "test";
    }
    throw std::invalid_argument("no such split");
}

double split_value(std::string_view document) {
    Hasher hasher;
    hasher.add("cmsweep split\n");  // the salt: changing it moves every held-out document
    hasher.add(document);
    return static_cast<double>(hasher.digest().high >> 11) * 0x1p-53;
}

std::map<std::string, std::vector<std::filesystem::path>> corpus_files(const CorpusSource& source) {
    std::map<std::string, std::vector<std::filesystem::path>> found;
    const auto match = [&](const char* role, const std::vector<std::string>& patterns, const std::vector<std::string>& exclude) {
        std::vector<std::filesystem::path> matches;
        for (const std::string& pattern : patterns) {
            for (auto& file : glob(pattern)) matches.push_back(std::move(file));
        }
        found[role] = without_excluded(matches, exclude);
    };
    match("files", source.files, source.exclude);
    match("select_files", source.select_files, {});
    match("test_files", source.test_files, {});
    const std::map<std::string, std::string> token_files{
        {"tokens", source.tokens}, {"select_tokens", source.select_tokens}, {"test_tokens", source.test_tokens}};
    for (const auto& [role, file] : token_files) {
        if (!file.empty()) found[role] = {file};
    }
    return found;
}

Corpus read_corpus(const CorpusSource& source, const Tokenizer* tokenizer, std::int64_t gap) {
    if (gap < 0) throw std::invalid_argument("expected a gap of 0 or more tokens, not " + std::to_string(gap));
    return CorpusReader(source, tokenizer, gap).read();
}

}  // namespace cmsweep
