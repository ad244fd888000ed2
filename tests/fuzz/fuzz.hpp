#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "cmsweep/base/random.hpp"

// Hostile files: valid ones of every format, mutated, go through the code that reads them, under sanitizers and with a
// limit on memory and time. Each format is a file here and a line in formats().
namespace cmsweep::fuzz {

/// Random choices of one input; the same (seed, format, number) makes the same input.
class Draw {
public:
    explicit Draw(Stream stream) : stream_(std::move(stream)) {}
    /// 0 … bound - 1; 0 for a bound of 0.
    std::size_t below(std::size_t bound) { return bound == 0 ? 0 : static_cast<std::size_t>(stream_.below(bound)); }
    bool once_in(std::size_t n) { return below(n) == 0; }
    template <typename List>
    const auto& pick(const List& list) {
        return *(std::begin(list) + static_cast<std::ptrdiff_t>(below(std::size(list))));
    }
    std::uint64_t bits() { return stream_.next(); }
    /// Small numbers more often than large ones: 1 … most.
    std::size_t length(std::size_t most);

private:
    Stream stream_;
};

struct Format {
    const char* name;
    /// Files that are read without complaint; `read` is tried on each first.
    std::function<std::vector<std::string>()> seeds;
    /// Reads, and uses all that was read. May throw InputError or StorageError; anything else that it throws is a finding.
    std::function<void(const std::string& file)> read;
    /// Mutations that know the format, and mend lengths and checksums so that the input gets past them. May be missing.
    std::function<void(std::string& file, Draw& draw)> mutate;
    /// Words of the format, for insertion.
    std::vector<std::string> words;
    /// Bytes that reading may have allocated at any moment: `base` + `factor` for each byte of the file.
    std::size_t factor = 64;
    std::size_t base = 1 << 20;
};

/// Longest input that mutations make.
inline constexpr std::size_t kMostBytes = 256 << 10;

/// A few mutations that know nothing: flipped bits, extreme numbers (binary and as text), cut, repeated and moved parts,
/// parts of another seed, words, deep nesting.
void mutate_bytes(std::string& file, Draw& draw, const std::vector<std::string>& seeds, const std::vector<std::string>& words);

/// A few mutations of a JSON text: values replaced, removed, doubled, moved, nested deeply; no JSON: nothing happens.
void mutate_json(std::string& text, Draw& draw);

/// An integer at its limits, or near `size`.
std::uint64_t extreme_number(Draw& draw, std::size_t size);

std::vector<Format> config_formats();
std::vector<Format> safetensors_formats();
std::vector<Format> checkpoint_formats();
std::vector<Format> tokenizer_formats();
std::vector<Format> text_formats();
std::vector<Format> journal_formats();
std::vector<Format> store_formats();
std::vector<Format> run_formats();

}  // namespace cmsweep::fuzz
