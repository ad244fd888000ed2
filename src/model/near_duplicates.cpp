#include "near_duplicates.hpp"

#include <algorithm>
#include <numeric>

#include "grams.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kMostGrams = std::size_t{1} << 25;

struct Occurrence {
    std::uint64_t gram;
    std::uint32_t document;
    auto operator<=>(const Occurrence&) const = default;
};

/// Every distinct gram of every document (or every 2nd, 4th, … value of it), sorted.
std::vector<Occurrence> sorted_occurrences(const std::vector<Document>& documents) {
    std::vector<Occurrence> all;
    std::vector<std::uint64_t> grams;
    std::uint64_t stride = 1;
    const auto dropped = [&](const Occurrence& occurrence) { return occurrence.gram % stride != 0; };
    for (std::uint32_t i = 0; i < documents.size(); ++i) {
        grams.clear();
        for_each_word_gram(documents[i].text, [&](std::uint64_t gram) {
            if (gram % stride == 0) grams.push_back(gram);
        });
        std::sort(grams.begin(), grams.end());
        grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
        for (const std::uint64_t gram : grams) all.push_back({gram, i});
        while (all.size() > kMostGrams) {
            stride *= 2;
            std::erase_if(all, dropped);
        }
    }
    std::sort(all.begin(), all.end());
    return all;
}

/// Disjoint sets; a set's root is its smallest member.
class Groups {
public:
    explicit Groups(std::size_t size) : parent_(size) { std::iota(parent_.begin(), parent_.end(), 0U); }
    std::uint32_t root(std::uint32_t i) {
        while (parent_[i] != i) i = parent_[i] = parent_[parent_[i]];
        return i;
    }
    void unite(std::uint32_t a, std::uint32_t b) {
        a = root(a);
        b = root(b);
        parent_[std::max(a, b)] = std::min(a, b);
    }

private:
    std::vector<std::uint32_t> parent_;
};

}  // namespace

std::vector<std::uint32_t> near_duplicate_groups(const std::vector<Document>& documents) {
    const std::vector<Occurrence> all = sorted_occurrences(documents);
    const std::size_t count = documents.size();
    std::vector<std::uint32_t> grams(count);  // of each document
    for (const auto& occurrence : all) ++grams[occurrence.document];

    // Where each document's shared grams lie in `all`: those of document d are places[start[d]] … places[start[d + 1]].
    std::vector<std::size_t> start(count + 1);
    const auto for_each_shared = [&](auto&& visit) {
        for (std::size_t begin = 0, end = 0; begin < all.size(); begin = end) {
            while (end < all.size() && all[end].gram == all[begin].gram) ++end;
            if (end - begin < 2 || end - begin > kBoilerplate) continue;
            for (std::size_t i = begin; i < end; ++i) visit(i);
        }
    };
    for_each_shared([&](std::size_t i) { ++start[all[i].document + 1]; });
    std::partial_sum(start.begin(), start.end(), start.begin());
    std::vector<std::uint32_t> places(start[count]);
    std::vector<std::size_t> next(start.begin(), start.end() - 1);
    for_each_shared([&](std::size_t i) { places[next[all[i].document]++] = static_cast<std::uint32_t>(i); });

    Groups groups(count);
    std::vector<std::uint32_t> common(count);
    std::vector<std::uint32_t> touched;
    for (std::uint32_t a = 0; a < count; ++a) {
        for (std::size_t k = start[a]; k < start[a + 1]; ++k) {
            // Documents of one gram are in increasing order: those after this place are the ones not yet compared.
            const std::size_t place = places[k];
            for (std::size_t i = place + 1; i < all.size() && all[i].gram == all[place].gram; ++i) {
                if (common[all[i].document]++ == 0) touched.push_back(all[i].document);
            }
        }
        for (const std::uint32_t b : touched) {
            if (2 * std::uint64_t{common[b]} > std::min(grams[a], grams[b])) groups.unite(a, b);
            common[b] = 0;
        }
        touched.clear();
    }
    std::vector<std::uint32_t> result(count);
    for (std::uint32_t i = 0; i < count; ++i) result[i] = groups.root(i);
    return result;
}

}  // namespace cmsweep
