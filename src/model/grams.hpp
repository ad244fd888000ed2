#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace cmsweep {

/// Length of the word and token runs by which texts are compared (13, as in GPT-3's contamination study, Brown et al.
/// 2020, appendix C).
inline constexpr std::size_t kGram = 13;

/// The finaliser of SplitMix64 (Steele et al. 2014): a bijection whose output bits all depend on all input bits.
constexpr std::uint64_t mix_bits(std::uint64_t x) {
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    return x ^ (x >> 31);
}

/// 64-bit hash of one word; the same on every machine.
std::uint64_t hash_word(std::string_view word);

/// Rolling polynomial hash over the last kGram units (words or tokens, already hashed), modulo 2^64.
class RollingGram {
public:
    void add(std::uint64_t unit) {
        std::uint64_t& oldest = window_[seen_ % kGram];
        hash_ = (hash_ - oldest * kTop) * kBase + unit;
        oldest = unit;
        ++seen_;
    }
    std::size_t seen() const { return seen_; }
    std::uint64_t value() const { return mix_bits(hash_); }

private:
    static constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15;  // odd
    static constexpr std::uint64_t kTop = [] {
        std::uint64_t power = 1;
        for (std::size_t i = 1; i < kGram; ++i) power *= kBase;
        return power;
    }();
    std::array<std::uint64_t, kGram> window_{};
    std::uint64_t hash_ = 0;
    std::size_t seen_ = 0;
};

/// Calls `visit` with the hash of every run of 13 words (separated by ASCII white space) in `text`. A text of 1 to 12
/// words has one gram, all of it, so that short records can be compared too.
template <class Visit>
void for_each_word_gram(std::string_view text, Visit&& visit) {
    constexpr std::string_view kSpace = " \t\n\r\v\f";
    const auto is_space = [&](char c) { return kSpace.find(c) != std::string_view::npos; };
    RollingGram gram;
    for (std::size_t at = 0; at < text.size();) {
        while (at < text.size() && is_space(text[at])) ++at;
        const std::size_t start = at;
        while (at < text.size() && !is_space(text[at])) ++at;
        if (at == start) break;
        gram.add(hash_word(text.substr(start, at - start)));
        if (gram.seen() >= kGram) visit(gram.value());
    }
    if (gram.seen() > 0 && gram.seen() < kGram) visit(gram.value());
}

/// The same for tokens.
template <class Visit>
void for_each_token_gram(std::span<const std::uint32_t> tokens, Visit&& visit) {
    RollingGram gram;
    for (const std::uint32_t token : tokens) {
        gram.add(mix_bits(token + 1));
        if (gram.seen() >= kGram) visit(gram.value());
    }
    if (gram.seen() > 0 && gram.seen() < kGram) visit(gram.value());
}

}  // namespace cmsweep
