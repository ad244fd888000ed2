#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "cmsweep/core/similarity/metric.hpp"
#include "rows.hpp"
#include "statistics.hpp"

namespace cmsweep {

/// What every comparison on a probe shares, for metrics that are computed pair by pair.
struct PairContext {
    PairContext(const ProbeLayout& probe, const ComparisonOptions& options)
        : layout(probe), order(probe), deletions(options.interval && order.groups() > 1), safe_point(options.safe_point ? options.safe_point : [] {}) {
        permutations = window_permutations(probe, options.permutations);
    }
    /// Numbers of the rows of a group.
    std::span<const Index> rows_of(int group) const {
        const RowRun& run = order.batches.front().runs[static_cast<std::size_t>(group)];
        return std::span(order.source).subspan(static_cast<std::size_t>(run.begin), static_cast<std::size_t>(run.count));
    }
    const ProbeLayout& layout;
    RowOrder order;
    bool deletions;                    ///< are values without each group wanted?
    std::function<void()> safe_point;  ///< to be called before each permutation and deletion, which may cost a decomposition
    std::vector<std::vector<std::int64_t>> permutations;  ///< of the second argument's windows, for permuted_rows()
};

/// Base of blocks that are compared pair by pair.
struct PairBlock : PreparedBlock {
    Id content;
    std::string warning;  ///< of every comparison with this block; empty: none

protected:
    /// Warns if one row of the centred features rules the value; `squares` are the squared norms of all.
    void warn_of_dominant_row(const Eigen::VectorXd& squares) {
        double share = 0;
        const Index row = dominant_row(squares, &share);
        warning = dominance_message(row, share);
    }
};

/// Calls figures(x, y, context) for every wanted pair. Equal features have the value 1 exactly.
template <typename Block, typename Figures>
ComparisonResult compare_pairwise(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                  const ComparisonOptions& options, const EntryMask& wanted_entries, Figures figures) {
    ComparisonResult result(static_cast<Index>(a.size()), static_cast<Index>(b.size()));
    const EntryMask wanted = complete_mask(wanted_entries, result.value.rows(), result.value.cols());
    const PairContext context(layout, options);
    add_option_messages(result, options, layout, context.order.groups());
    const auto add_warning = [&](const PreparedBlock& block, Index row, Index column) {
        if (const auto* pair_block = dynamic_cast<const PairBlock*>(&block)) result.add_note(pair_block->warning, row, column);
    };
    for (std::size_t i = 0; i < a.size(); ++i) add_warning(*a[i], static_cast<Index>(i), -1);
    for (std::size_t j = 0; j < b.size(); ++j) add_warning(*b[j], -1, static_cast<Index>(j));
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < b.size(); ++j) {
            if (!wanted(static_cast<Index>(i), static_cast<Index>(j))) continue;
            if (options.safe_point) options.safe_point();
            const auto* x = dynamic_cast<const Block*>(a[i].get());
            const auto* y = dynamic_cast<const Block*>(b[j].get());
            if (x == nullptr || y == nullptr) throw std::invalid_argument("compare: a block was prepared by another metric");
            EntryFigures entry = figures(*x, *y, context);
            if (x->content == y->content && !std::isnan(entry.value)) entry.value = 1;
            set_entry(result, static_cast<Index>(i), static_cast<Index>(j), entry, context.order.group_rows);
        }
    }
    return result;
}

/// Rows 0 … n-1 without those of `group`, in increasing order.
inline std::vector<Index> rows_without(const RowOrder& order, int group) {
    std::vector<bool> dropped(static_cast<std::size_t>(order.rows()), false);
    for (Index place = 0; place < order.rows(); ++place) {
        if (order.group[static_cast<std::size_t>(place)] == group) dropped[static_cast<std::size_t>(order.source[place])] = true;
    }
    std::vector<Index> rows;
    for (Index row = 0; row < order.rows(); ++row) {
        if (!dropped[static_cast<std::size_t>(row)]) rows.push_back(row);
    }
    return rows;
}

}  // namespace cmsweep
