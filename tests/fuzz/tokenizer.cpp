#include "cmsweep/base/tokenizer.hpp"

#include <nlohmann/json.hpp>

#include "cmsweep/base/error.hpp"
#include "fuzz.hpp"
#include "src/base/bpe_tokenizer.hpp"
#include "src/base/utf8.hpp"

namespace cmsweep::fuzz {
namespace {

using nlohmann::json;

constexpr char kBetween = '\x1e';  // vocab.json and merges.txt in one input

std::string symbol(unsigned char byte) {
    std::string text;
    append_utf8(text, byte_alphabet()[byte]);
    return text;
}

json vocabulary() {
    json ids;
    for (unsigned byte = 0; byte < 256; ++byte) ids[symbol(static_cast<unsigned char>(byte))] = byte;
    unsigned next = 256;
    for (const auto* word : {"he", "ll", "hell", "hello"}) ids[word] = next++;
    ids[symbol(' ') + "w"] = next++;
    return ids;
}

std::vector<std::string> merges() { return {"h e", "l l", "he ll", "hell o", symbol(' ') + " w"}; }

std::vector<std::string> json_seeds() {
    const json root = {{"version", "1.0"},
                       {"added_tokens", {{{"id", 261}, {"content", "<|endoftext|>"}, {"special", true}}}},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
                       {"model", {{"type", "BPE"}, {"dropout", nullptr}, {"vocab", vocabulary()}, {"merges", merges()}}}};
    return {root.dump(), root.dump(1)};
}

std::vector<std::string> vocab_seeds() {
    auto ids = vocabulary();
    ids["<|endoftext|>"] = 261;
    std::string text = "#version: 0.2\n";
    for (const auto& merge : merges()) text += merge + '\n';
    return {ids.dump() + kBetween + text};
}

void use_whole(const Tokenizer& tokenizer) {
    const std::string text = "hello  world, hello's 123\n\t" + std::string("\xc3\xa9\xff\xf0\x9f\x98\x80\0", 8) + std::string(300, 'l');
    const auto tokens = tokenizer.encode(text);
    for (const auto token : tokens) {
        if (token >= tokenizer.vocabulary()) throw std::logic_error("a token beyond the vocabulary");
    }
    // Invalid UTF-8 becomes U+FFFD, so the bytes need not come back; but whatever comes back is stable.
    const auto decoded = tokenizer.decode(tokens);
    if (tokenizer.decode(tokenizer.encode(decoded)) != decoded && is_valid_utf8(decoded)) throw std::logic_error("decoded text changes when it is encoded again");
    tokenizer.digest();
    tokenizer.end_of_text();
}

/// The two files apart, each in its own way.
void mutate_vocab(std::string& input, Draw& draw) {
    const auto between = input.find(kBetween);
    std::string vocab = input.substr(0, between);
    std::string text = between == std::string::npos ? "" : input.substr(between + 1);
    if (draw.once_in(2)) mutate_json(vocab, draw);
    else mutate_bytes(text, draw, {text}, {"h e\n", "#version", "\r\n", " ", "he ll", "o o\n"});
    input = vocab + kBetween + text;
}

}  // namespace

std::vector<Format> tokenizer_formats() {
    const auto read_json = [](const std::string& text) { use_whole(*parse_tokenizer_json(text, "hostile/tokenizer.json")); };
    const auto read_vocab = [](const std::string& input) {
        const std::string_view view = input;
        const auto between = std::min(view.find(kBetween), view.size());
        use_whole(*parse_vocab_and_merges(view.substr(0, between), view.substr(std::min(between + 1, view.size())), "hostile"));
    };
    // The base covers the vocabulary of single bytes, what is made of it, and the text that is encoded.
    return {{"tokenizer_json", json_seeds, read_json, mutate_json, {"\"<|endoftext|>\"", "\"vocab\":{", "\"merges\":[", "\"h e\"", "[\"h\",\"e\"]", "\"special\":false", "2147483647"}, 256},
            {"vocab_merges", vocab_seeds, read_vocab, mutate_vocab, {"\"<|endoftext|>\":", "h e\n", "2147483647", "#version"}, 256}};
}

}  // namespace cmsweep::fuzz
