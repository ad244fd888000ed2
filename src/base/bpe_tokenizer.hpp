#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cmsweep/base/tokenizer.hpp"

struct pcre2_real_code_8;

namespace cmsweep {

/// GPT-2's bytes_to_unicode (openai/gpt-2, encoder.py): printable Latin-1 bytes stand for themselves, the other 68, in
/// order, for U+0100, U+0101, …; so every byte string can be written as visible text in vocab.json.
std::array<char32_t, 256> byte_alphabet();

/// What a byte-level BPE is made of, checked by the parsers in tokenizer.cpp.
struct BpeTables {
    struct Token {
        std::uint32_t id;
        std::string bytes;  ///< what the token stands for
    };
    struct Merge {
        std::uint32_t left, right, result;
        bool operator==(const Merge&) const = default;
    };
    std::vector<Token> tokens;                   ///< by increasing id, no id twice
    std::array<std::uint32_t, 256> byte_tokens;  ///< the token of each single byte
    std::vector<Merge> merges;                   ///< in rank order, no (left, right) twice
    std::uint32_t end_of_text;
};

class BpeTokenizer final : public Tokenizer {
public:
    explicit BpeTokenizer(BpeTables tables);

    std::vector<std::uint32_t> encode(std::string_view text) const override;
    std::string decode(std::span<const std::uint32_t> tokens) const override;
    std::uint32_t vocabulary() const override { return tables_.tokens.back().id + 1; }
    std::uint32_t end_of_text() const override { return tables_.end_of_text; }
    Id digest() const override { return digest_; }

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
    };
    using WordCache = std::unordered_map<std::string, std::vector<std::uint32_t>, TextHash, std::equal_to<>>;
    struct Word;  // a word while it is being merged

    void merge(std::string_view bytes, Word& word) const;

    BpeTables tables_;
    std::unordered_map<std::uint64_t, std::uint32_t> ranks_;     // left << 32 | right -> index in merges
    std::unordered_map<std::uint32_t, std::string_view> bytes_;  // into tables_.tokens
    std::shared_ptr<const pcre2_real_code_8> pattern_;
    Id digest_;

    // Never changes a result. A call that finds it in use by another thread works with a cache of its own.
    mutable std::mutex cache_mutex_;
    mutable WordCache cache_;
};

}  // namespace cmsweep
