#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmsweep/base/id.hpp"

namespace cmsweep {

/// Text to token ids. Immutable; safe to share between threads.
class Tokenizer {
public:
    virtual ~Tokenizer() = default;
    /// Time is near-linear in the text's length, whatever the length of its words.
    virtual std::vector<std::uint32_t> encode(std::string_view text) const = 0;
    /// The bytes that the tokens stand for. Throws InputError for an id that the tokenizer does not have.
    virtual std::string decode(std::span<const std::uint32_t> tokens) const = 0;
    /// One more than the largest id.
    virtual std::uint32_t vocabulary() const = 0;
    /// The id that joins documents (bytes: 0; GPT-2: 50256).
    virtual std::uint32_t end_of_text() const = 0;
    /// Hash of everything that determines encode(): part of every corpus split's id.
    virtual Id digest() const = 0;
};

/// One token a byte; vocabulary 256; end of text is 0 (a NUL byte inside a text is dropped by the corpus reader).
std::unique_ptr<Tokenizer> make_byte_tokenizer();

/// GPT-2's byte-level BPE (Radford et al. 2019, openai/gpt-2 encoder.py) from a folder's tokenizer.json, else its
/// vocab.json + merges.txt. Pre-tokenising pattern with Unicode classes through PCRE2. Invalid UTF-8 is replaced by U+FFFD
/// as Python's decode(errors="replace") does. Special tokens such as <|endoftext|> inside a text are encoded as the text
/// they are (encode_ordinary in other libraries), so that no document can end itself. Throws InputError: path, what is
/// missing or malformed; a tokenizer.json of another kind than byte-level BPE with GPT-2's pattern is refused by name.
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder);

/// Parsers alone, for fuzzing and tests.
std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view json, const std::string& where);
std::unique_ptr<Tokenizer> parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_text, const std::string& where);

}  // namespace cmsweep
