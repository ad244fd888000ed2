// What a corpus is read from: token files, JSON lines, text; and the splits that are kept of it.
#include <cstring>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/corpus.hpp"
#include "folder.hpp"
#include "fuzz.hpp"

namespace cmsweep::fuzz {
namespace {

std::string numbers(std::size_t count, std::size_t width) {
    std::string bytes;
    for (std::uint64_t i = 0; i < count; ++i) bytes.append(reinterpret_cast<const char*>(&i), width);
    return bytes;
}

Corpus corpus_of(const CorpusSource& source, const Tokenizer* tokenizer) {
    auto corpus = read_corpus(source, tokenizer, 8);
    for (const auto& split : corpus.splits) {
        if (!split.document_starts.empty() && split.document_starts.back() >= split.tokens.size()) throw std::logic_error("a document starts beyond its split");
    }
    return corpus;
}

void read_tokens(const std::string& file) {
    for (const auto* name : {"hostile.bin", "hostile.u32"}) {
        CorpusSource source;
        source.name = "hostile";
        source.tokens = put(name, file).string();
        try {
            corpus_of(source, nullptr);
        } catch (const InputError&) {
            if (file.size() % 4 == 0 && file.size() > 1000) throw;
        }
    }
}

void read_lines(const std::string& file) {
    static const auto tokenizer = make_byte_tokenizer();
    CorpusSource source;
    source.name = "hostile";
    source.files = {put("hostile.jsonl", file).string()};
    corpus_of(source, tokenizer.get());
}

void read_plain(const std::string& file) {
    static const auto tokenizer = make_byte_tokenizer();
    CorpusSource source;
    source.name = "hostile";
    source.files = {put("hostile.txt", file).string()};
    source.holdout = 0.5;
    const auto corpus = corpus_of(source, tokenizer.get());
    measure_overlap(corpus[Split::train], corpus[Split::test], tokenizer.get());
}

std::vector<std::string> line_seeds() {
    std::string lines;
    for (int i = 0; i < 12; ++i) lines += R"({"text": "a line of text, number )" + std::to_string(i) + "\"}\n";
    return {lines, "{\"question\": \"why\", \"answer\": \"\\u00e9\", \"n\": [1, {\"a\": null}]}\n\"bare\"\r\n\n" + lines.substr(0, 100).substr(0, lines.find('\n') + 1)};
}

/// One line; or a record of very many members.
void mutate_lines(std::string& file, Draw& draw) {
    const auto start = file.rfind('\n', draw.below(file.size()));
    const auto begin = start == std::string::npos ? 0 : start + 1;
    const auto end = std::min(file.find('\n', begin), file.size());
    std::string line = file.substr(begin, end - begin);
    if (draw.once_in(16)) {
        line = "{";
        for (std::size_t i = draw.length(kMostBytes / 16); i > 0; --i) line.append("\"").append(std::to_string(i)).append("\":\"a\",");
        line += "\"z\":0}";
    } else {
        mutate_json(line, draw);
    }
    file.replace(begin, end - begin, line);
}

std::vector<std::string> plain_seeds() {
    std::string text;
    for (int i = 0; i < 9000; ++i) text += "word" + std::to_string(i % 997) + (i % 11 == 0 ? "\n" : " ");
    return {text, "short"};
}

const Id kSplit = hash_text("split");

std::vector<std::string> split_seeds() {
    TokenSplit split;
    for (std::uint32_t i = 0; i < 500; ++i) split.tokens.push_back(i);
    split.document_starts = {0, 100, 250, 499};
    split.digest = kSplit;
    const auto path = folder() / (kSplit.hex() + ".tokens");
    write_split(folder(), split);
    const auto narrow = read_text(path);
    std::filesystem::remove(path);
    split.tokens[7] = 70000;
    write_split(folder(), split);
    return {narrow, read_text(path)};
}

void read_split(const std::string& file) {
    put(kSplit.hex() + ".tokens", file);
    const StoredSplit split(folder(), kSplit);
    std::vector<std::int64_t> tokens(split.size());
    split.copy(0, tokens);
    std::vector<std::uint64_t> starts;
    for (std::uint64_t i = 0; i < split.size(); i += 16) {
        if (split.document_at(i) >= split.documents()) throw std::logic_error("a document beyond the last");
        starts.push_back(i);
    }
    if (!starts.empty()) document_groups(split, starts, 20);
}

/// Past the header's checks: widths, counts and starts of documents.
void mutate_split(std::string& file, Draw& draw) {
    constexpr std::size_t kHeader = 48;
    if (file.size() < kHeader + 8) return;
    const std::size_t at = draw.once_in(2) ? 8 * (1 + draw.below(3)) : kHeader + 8 * draw.below((file.size() - kHeader) / 8);
    const auto value = extreme_number(draw, draw.once_in(2) ? file.size() : 500);
    std::memcpy(file.data() + at, &value, draw.once_in(2) ? 8 : 4);
}

}  // namespace

std::vector<Format> text_formats() {
    // The base of text is that of the tables in which near-duplicates are looked up.
    constexpr std::size_t kTables = 16 << 20;
    return {{"token_file", [] { return std::vector<std::string>{numbers(5000, 2), numbers(9000, 4)}; }, read_tokens, nullptr, {}},
            {"json_lines", line_seeds, read_lines, mutate_lines, {"{\"text\":", "\"", "\\ud800", "\\u0000", "null", "}\n{", "\n"}, 256, kTables},
            {"text", plain_seeds, read_plain, nullptr, {std::string(1, '\0'), "\xef\xbb\xbf", "\xff", std::string(300, 'x')}, 256, kTables},
            {"split", split_seeds, read_split, mutate_split, {}}};
}

}  // namespace cmsweep::fuzz
