#include "bpe_tokenizer.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "cmsweep/base/error.hpp"
#include "utf8.hpp"

namespace cmsweep {
namespace {

// GPT-2's pattern: 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// White space is spelled out as Unicode's White_Space, which the reference's regex module means by \s: PCRE2's \s also
// holds U+180E. The repeats are possessive where nothing can be given back, so that long runs need no backtracking.
#define SPACES R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})"
constexpr std::string_view kPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}++| ?\p{N}++| ?[^\p{L}\p{N})" SPACES
                                      R"(]++|[)" SPACES R"(]+(?![^)" SPACES R"(])|[)" SPACES R"(]++)";
#undef SPACES

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t kCachedWords = 1 << 16;
constexpr std::size_t kCachedWordBytes = 64;

std::uint64_t pair_key(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32 | right; }

std::shared_ptr<const pcre2_code> compile_pattern() {
    int error = 0;
    PCRE2_SIZE offset = 0;
    pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern.data()), kPattern.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
    if (code == nullptr) {
        throw std::runtime_error("PCRE2 refuses GPT-2's pattern at offset " + std::to_string(offset) + " with error " +
                                 std::to_string(error) + ": it must be built with Unicode support");
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without JIT the interpreter gives the same matches
    return {code, [](const pcre2_code* c) { pcre2_code_free(const_cast<pcre2_code*>(c)); }};
}

Id digest_of(const BpeTables& tables) {
    Hasher hasher;
    const auto add = [&](std::uint64_t value) {
        std::array<std::byte, 8> bytes;
        for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::byte>(value >> (8 * i));
        hasher.add(bytes);
    };
    hasher.add("cmsweep tokenizer: GPT-2 byte-level BPE");
    add(tables.tokens.size());
    for (const auto& token : tables.tokens) {
        add(token.id);
        add(token.bytes.size());
        hasher.add(token.bytes);
    }
    for (const std::uint32_t id : tables.byte_tokens) add(id);
    add(tables.merges.size());
    for (const auto& merge : tables.merges) {
        add(merge.left);
        add(merge.right);
        add(merge.result);
    }
    add(tables.end_of_text);
    return hasher.digest();
}

}  // namespace

std::array<char32_t, 256> byte_alphabet() {
    std::array<char32_t, 256> alphabet{};
    char32_t next = 256;
    for (char32_t byte = 0; byte < 256; ++byte) {
        const bool printable =
            (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
        alphabet[byte] = printable ? byte : next++;
    }
    return alphabet;
}

/// Symbols as a doubly linked list over the word's bytes (a symbol lives at its first byte), and a heap of the pairs
/// that may be merged: n log n in the word's length, however long it is. Kept between words to save allocations.
struct BpeTokenizer::Word {
    std::vector<std::uint32_t> symbols, next, previous;
    std::vector<std::uint64_t> heap;       // rank << 32 | position of the left symbol; smallest first
    std::vector<std::uint32_t> positions;  // of one rank
};

BpeTokenizer::BpeTokenizer(BpeTables tables)
    : tables_(std::move(tables)), pattern_(compile_pattern()), digest_(digest_of(tables_)) {
    ranks_.reserve(tables_.merges.size());
    for (std::size_t rank = 0; rank < tables_.merges.size(); ++rank) {
        const auto& merge = tables_.merges[rank];
        ranks_.emplace(pair_key(merge.left, merge.right), static_cast<std::uint32_t>(rank));
    }
    bytes_.reserve(tables_.tokens.size());
    for (const auto& token : tables_.tokens) bytes_.emplace(token.id, token.bytes);
}

void BpeTokenizer::merge(std::string_view bytes, Word& word) const {
    if (bytes.size() >= kNone) throw InputError("a word of over 4 GiB cannot be tokenised");
    const auto n = static_cast<std::uint32_t>(bytes.size());
    auto& [symbols, next, previous, heap, positions] = word;
    symbols.resize(n);
    next.resize(n);
    previous.resize(n);
    heap.clear();
    for (std::uint32_t i = 0; i < n; ++i) {
        symbols[i] = tables_.byte_tokens[static_cast<unsigned char>(bytes[i])];
        next[i] = i + 1 < n ? i + 1 : kNone;
        previous[i] = i > 0 ? i - 1 : kNone;
    }
    const auto push = [&](std::uint32_t left) {
        if (left == kNone || next[left] == kNone) return;
        const auto found = ranks_.find(pair_key(symbols[left], symbols[next[left]]));
        if (found == ranks_.end()) return;
        heap.push_back(std::uint64_t{found->second} << 32 | left);
        std::push_heap(heap.begin(), heap.end(), std::greater<>{});
    };
    const auto pop = [&] {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>{});
        const std::uint64_t top = heap.back();
        heap.pop_back();
        return top;
    };
    for (std::uint32_t i = 0; i < n; ++i) push(i);
    while (!heap.empty()) {
        // As in encoder.py, all occurrences of the best pair are merged from left to right before any other pair is
        // looked at. That matters only for merge lists in which a later merge is needed by an earlier one.
        const std::uint64_t rank = heap.front() >> 32;
        positions.clear();
        while (!heap.empty() && heap.front() >> 32 == rank) positions.push_back(static_cast<std::uint32_t>(pop()));
        const auto& pair = tables_.merges[rank];
        for (const std::uint32_t left : positions) {
            // An entry is stale if one of its symbols has been merged since it was pushed.
            if (symbols[left] != pair.left || next[left] == kNone || symbols[next[left]] != pair.right) continue;
            const std::uint32_t right = next[left];
            symbols[left] = pair.result;
            symbols[right] = kNone;
            next[left] = next[right];
            if (next[left] != kNone) previous[next[left]] = left;
            push(previous[left]);
            push(left);
        }
    }
    symbols.erase(std::remove(symbols.begin(), symbols.end(), kNone), symbols.end());
}

std::vector<std::uint32_t> BpeTokenizer::encode(std::string_view text) const {
    std::string repaired;
    if (!is_valid_utf8(text)) {
        repaired = replace_invalid_utf8(text);
        text = repaired;
    }
    const std::unique_lock lock(cache_mutex_, std::try_to_lock);
    WordCache own;
    WordCache& cache = lock ? cache_ : own;

    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> match(pcre2_match_data_create(1, nullptr),
                                                                                    &pcre2_match_data_free);
    if (!match) throw std::bad_alloc();
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match.get());

    std::vector<std::uint32_t> tokens;
    tokens.reserve(text.size() / 3);
    Word word;
    for (std::size_t at = 0; at < text.size(); at = bounds[1]) {
        const int matched = pcre2_match(pattern_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at,
                                        PCRE2_NO_UTF_CHECK, match.get(), nullptr);
        if (matched <= 0 || bounds[1] <= at) {
            throw std::runtime_error("PCRE2 failed with code " + std::to_string(matched) +
                                     " while splitting text at byte " + std::to_string(at));
        }
        const std::string_view bytes = text.substr(at, bounds[1] - at);
        const auto known = cache.find(bytes);
        if (known != cache.end()) {
            tokens.insert(tokens.end(), known->second.begin(), known->second.end());
            continue;
        }
        merge(bytes, word);
        tokens.insert(tokens.end(), word.symbols.begin(), word.symbols.end());
        if (bytes.size() <= kCachedWordBytes && cache.size() < kCachedWords) cache.emplace(bytes, word.symbols);
    }
    return tokens;
}

std::string BpeTokenizer::decode(std::span<const std::uint32_t> tokens) const {
    std::string text;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        const auto found = bytes_.find(tokens[i]);
        if (found == bytes_.end()) {
            throw InputError("token " + std::to_string(tokens[i]) + " at position " + std::to_string(i) +
                             ": the tokenizer has no such id (its largest is " + std::to_string(vocabulary() - 1) +
                             "); is the text from another tokenizer?");
        }
        text += found->second;
    }
    return text;
}

}  // namespace cmsweep
