#include <limits>

#include "neighbours.hpp"

namespace cmsweep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct MutualBlock : NeighbourBlock {
    MutualBlock(const Features& features, const ProbeLayout& layout, Index neighbours, const SafePoint& safe_point)
        : NeighbourBlock(features, layout, neighbours, safe_point), lists(all()) {
        if (layout.rows_per_window == 1) return;
        windows = WindowSums::zero(layout);
        if (windows.within.size() == 0) return;
        for (Index row = 0; row < n; ++row) {
            for (Index at = row * k; at < (row + 1) * k; ++at) windows.add(layout, row, lists.row[at], 1);
        }
    }
    std::size_t bytes() const override {
        return NeighbourBlock::bytes() + lists.bytes() + static_cast<std::size_t>(2 * windows.within.size()) * sizeof(double);
    }
    NeighbourLists lists;
    WindowSums windows;  // of the matrix that is 1 where j is a neighbour of i
};

double shared(const NeighbourLists& x, const NeighbourLists& y) {
    Index common = 0;
    for (Index row = 0; row < x.rows(); ++row) {
        Index i = row * x.k;
        Index j = row * y.k;
        while (i < (row + 1) * x.k && j < (row + 1) * y.k) {
            if (x.row[i] == y.row[j]) {
                ++common;
                ++i;
                ++j;
            } else {
                ++(x.row[i] < y.row[j] ? i : j);
            }
        }
    }
    return static_cast<double>(common) / static_cast<double>(x.k * x.rows());
}

EntryFigures figures(const MutualBlock& x, const MutualBlock& y, const PairContext& context) {
    EntryFigures entry;
    entry.value = shared(x.lists, y.lists);
    // A permuted row's k neighbours are any k of the n - 1 others.
    entry.null_mean = context.layout.rows_per_window == 1
                          ? static_cast<double>(x.k) / static_cast<double>(x.n - 1)
                          : mean_over_permutations(x.windows, y.windows, context.layout) / static_cast<double>(x.k * x.n);
    for (const auto& permutation : context.permutations) {
        context.safe_point();
        entry.permuted.push_back(shared(x.lists, permuted_lists(y.lists, permuted_rows(context.layout, permutation))));
    }
    for (int g = 0; context.deletions && g < context.order.groups(); ++g) {
        context.safe_point();
        const NeighbourLists kept_x = x.without(context.order, g);
        const NeighbourLists kept_y = y.without(context.order, g);
        if (kept_x.k == 0 || kept_y.k == 0) {
            entry.deleted.push_back(kNan);
            entry.message = "without one of the document groups fewer than k + 1 rows remain: no interval";
        } else {
            entry.deleted.push_back(shared(kept_x, kept_y));
        }
    }
    return entry;
}

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json& setting, const SafePoint& safe_point) {
    return std::make_shared<const MutualBlock>(features, layout, setting.at("k").get<Index>(), safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_pairwise<MutualBlock>(a, b, layout, options, wanted, figures);
}

}  // namespace

/// Mean share of a row's k nearest neighbours that are the same in both.
MetricInfo mutual_knn() {
    MetricInfo info;
    info.name = "mutual_knn";
    info.most_rows = kMostNeighbourRows;
    info.parameters = {neighbours_parameter(1)};
    info.summary = "share of nearest neighbours that two representations have in common";
    info.source = "Huh et al. 2024, The Platonic Representation Hypothesis, section 2 and appendix A";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
