#include "neighbours.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "block_rows.hpp"
#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

constexpr Index kTileRows = 256;

/// Rows [first, first + count) at unit length; a zero row stays zero.
RowMajorMatrix unit_rows(const Features& features, Index first, Index count) {
    RowMajorMatrix x = features.matrix().middleRows(first, count).cast<double>();
    for (Index row = 0; row < count; ++row) {
        const double norm = x.row(row).norm();
        if (norm > 0) x.row(row) /= norm;
    }
    return x;
}

void append_sorted(NeighbourLists& lists, std::vector<std::pair<std::int32_t, double>>& found) {
    std::sort(found.begin(), found.end());
    for (const auto& [row, similarity] : found) {
        lists.row.push_back(row);
        lists.similarity.push_back(similarity);
    }
    found.clear();
}

}  // namespace

NeighbourBlock::NeighbourBlock(const Features& features, const ProbeLayout& layout, Index neighbours, const SafePoint& safe_point)
    : n(features.rows()), k(neighbours) {
    check_features(features, layout, safe_point);
    content = features_id(features, safe_point);
    if (n <= k || n > kMostNeighbourRows) {
        throw NumericError("n = " + std::to_string(n) + " rows for k = " + std::to_string(k) +
                           " neighbours: expected more than k and at most " + std::to_string(kMostNeighbourRows) +
                           " rows; change similarity.windows, pooling or k");
    }
    if ((features.matrix().rowwise() - features.matrix().row(0)).isZero(0)) {
        throw NumericError("all " + std::to_string(n) + " rows are equal: none has nearest neighbours");
    }
    const RowOrder order(layout);
    std::vector<int> group(static_cast<std::size_t>(n));
    for (Index place = 0; place < n; ++place) group[order.source[place]] = order.group[place];

    begin_.push_back(0);
    std::vector<std::int32_t> candidates(static_cast<std::size_t>(n));
    std::vector<std::int64_t> nearness(static_cast<std::size_t>(n));
    std::vector<Index> in_group(static_cast<std::size_t>(order.groups()));
    for (Index first = 0; first < n; first += kTileRows) {
        if (safe_point) safe_point();
        const Index count = std::min(kTileRows, n - first);
        RowMajorMatrix products(count, n);
        const RowMajorMatrix x = unit_rows(features, first, count);
        for (Index column = 0; column < n; column += kBandRows) {
            const Index columns = std::min(kBandRows, n - column);
            products.middleCols(column, columns).noalias() = x * unit_rows(features, column, columns).transpose();
        }
        for (Index i = 0; i < count; ++i) {
            for (Index j = 0; j < n; ++j) nearness[j] = std::llround(products(i, j) * 0x1p40);
            std::iota(candidates.begin(), candidates.end(), 0);
            std::swap(candidates[first + i], candidates.back());  // the row itself is none
            const auto nearer = [&](std::int32_t a, std::int32_t b) {
                return nearness[a] != nearness[b] ? nearness[a] > nearness[b] : a < b;
            };
            std::fill(in_group.begin(), in_group.end(), 0);
            Index ordered = 0;
            Index taken = 0;
            Index most = 0;  // neighbours of one group
            while (taken < n - 1 && (taken < k || (order.groups() > 1 && taken - most < k))) {
                if (taken == ordered) {
                    const Index next = std::min(n - 1, std::max(2 * k, 2 * ordered));
                    std::partial_sort(candidates.begin() + ordered, candidates.begin() + next, candidates.end() - 1, nearer);
                    ordered = next;
                }
                const std::int32_t row = candidates[taken++];
                most = std::max(most, ++in_group[group[row]]);
                neighbour_.push_back(row);
                similarity_.push_back(products(i, row));
            }
            begin_.push_back(neighbour_.size());
        }
    }
}

std::size_t NeighbourBlock::bytes() const {
    return begin_.size() * sizeof(std::size_t) + neighbour_.size() * (sizeof(std::int32_t) + sizeof(double));
}

NeighbourLists NeighbourBlock::all() const {
    NeighbourLists lists;
    lists.k = k;
    std::vector<std::pair<std::int32_t, double>> found;
    for (Index row = 0; row < n; ++row) {
        for (std::size_t at = begin_[row]; at < begin_[row] + static_cast<std::size_t>(k); ++at) {
            found.emplace_back(neighbour_[at], similarity_[at]);
        }
        append_sorted(lists, found);
    }
    return lists;
}

NeighbourLists NeighbourBlock::without(const RowOrder& order, int group) const {
    NeighbourLists lists;
    lists.k = k;
    const std::vector<Index> kept = rows_without(order, group);
    std::vector<std::int32_t> number(static_cast<std::size_t>(n), -1);
    for (std::size_t i = 0; i < kept.size(); ++i) number[kept[i]] = static_cast<std::int32_t>(i);
    std::vector<std::pair<std::int32_t, double>> found;
    for (const Index row : kept) {
        for (std::size_t at = begin_[row]; at < begin_[row + 1] && static_cast<Index>(found.size()) < k; ++at) {
            if (number[neighbour_[at]] >= 0) found.emplace_back(number[neighbour_[at]], similarity_[at]);
        }
        if (static_cast<Index>(found.size()) < k) return {};
        append_sorted(lists, found);
    }
    return lists;
}

NeighbourLists permuted_lists(const NeighbourLists& lists, const std::vector<Index>& rows) {
    std::vector<std::int32_t> place(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) place[rows[i]] = static_cast<std::int32_t>(i);
    NeighbourLists result;
    result.k = lists.k;
    std::vector<std::pair<std::int32_t, double>> found;
    for (const Index row : rows) {
        for (Index at = row * lists.k; at < (row + 1) * lists.k; ++at) {
            found.emplace_back(place[lists.row[at]], lists.similarity[at]);
        }
        append_sorted(result, found);
    }
    return result;
}

ParameterSpec neighbours_parameter(int least) {
    ParameterSpec k;
    k.name = std::string(1, 'k');  // GCC 12 warns of assigning "k" (its bug 105651)
    k.kind = ParameterSpec::Kind::integer;
    k.low = least;
    k.high = std::numeric_limits<double>::infinity();
    k.default_value = 10;
    k.summary = "nearest neighbours of a row";
    return k;
}

}  // namespace cmsweep
