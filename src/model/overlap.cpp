#include <algorithm>

#include "cmsweep/model/corpus.hpp"
#include "grams.hpp"

namespace cmsweep {
namespace {

/// Visits the grams of a split: of words, between ends of text, if a tokenizer can tell what the tokens say; else of
/// tokens.
template <class Visit>
void for_each_gram(const TokenSplit& split, const Tokenizer* tokenizer, Visit&& visit) {
    const std::span<const std::uint32_t> tokens = split.tokens;
    if (tokenizer == nullptr) {
        for_each_token_gram(tokens, visit);
        return;
    }
    for (auto begin = tokens.begin(); begin != tokens.end();) {
        const auto end = std::find(begin, tokens.end(), tokenizer->end_of_text());
        for_each_word_gram(tokenizer->decode({begin, end}), visit);
        begin = end == tokens.end() ? end : end + 1;
    }
}

}  // namespace

Overlap measure_overlap(const TokenSplit& training, const TokenSplit& target, const Tokenizer* tokenizer) {
    std::vector<std::uint64_t> wanted;
    for_each_gram(target, tokenizer, [&](std::uint64_t gram) { wanted.push_back(gram); });
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());

    // Nearly all training grams are not wanted; a bit for each value of 24 of their bits dismisses those at once.
    constexpr int kFilterBits = 24;
    std::vector<bool> filter(std::size_t{1} << kFilterBits);
    for (const std::uint64_t gram : wanted) filter[gram >> (64 - kFilterBits)] = true;
    std::vector<bool> found(wanted.size());
    for_each_gram(training, tokenizer, [&](std::uint64_t gram) {
        if (!filter[gram >> (64 - kFilterBits)]) return;
        const auto place = std::lower_bound(wanted.begin(), wanted.end(), gram);
        if (place != wanted.end() && *place == gram) found[static_cast<std::size_t>(place - wanted.begin())] = true;
    });

    Overlap overlap;
    const auto shared = std::count(found.begin(), found.end(), true);
    if (!wanted.empty()) overlap.share = static_cast<double>(shared) / static_cast<double>(wanted.size());

    std::vector<Id> ours = training.documents;
    std::vector<Id> theirs = target.documents;
    std::sort(ours.begin(), ours.end());
    std::sort(theirs.begin(), theirs.end());
    theirs.erase(std::unique(theirs.begin(), theirs.end()), theirs.end());
    std::set_intersection(theirs.begin(), theirs.end(), ours.begin(), ours.end(),
                          std::back_inserter(overlap.shared_documents));
    return overlap;
}

}  // namespace cmsweep
