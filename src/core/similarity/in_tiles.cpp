#include "cmsweep/core/similarity/in_tiles.hpp"

#include "cmsweep/base/error.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

/// Some blocks of one list, and their places in it.
struct BlockRange {
    std::vector<Eigen::Index> places;
    PreparedBlocks blocks;
};

}  // namespace

ComparisonResult compare_in_tiles(const MetricInfo& metric, Eigen::Index rows, const BlockSource& a, Eigen::Index columns,
                                  const BlockSource& b, const ProbeLayout& layout, const nlohmann::json& setting,
                                  const ComparisonOptions& options, const EntryMask& wanted_entries, std::size_t memory) {
    ComparisonResult result(rows, columns);
    const EntryMask wanted = complete_mask(wanted_entries, rows, columns);
    std::vector<bool> failed_rows(static_cast<std::size_t>(rows)), failed_columns(static_cast<std::size_t>(columns));

    // Blocks from `next` on, as many as fit; `next` ends behind them.
    const auto take = [&](Eigen::Index& next, std::vector<bool>& failed, const BlockSource& source, bool is_row, auto needed) {
        BlockRange range;
        std::size_t bytes = 0;
        const auto end = static_cast<Eigen::Index>(failed.size());
        for (; next < end && (range.blocks.empty() || bytes < memory / 2); ++next) {
            if (failed[static_cast<std::size_t>(next)] || !needed(next)) continue;
            if (options.safe_point) options.safe_point();
            try {
                range.blocks.push_back(source(next));
                range.places.push_back(next);
                bytes += range.blocks.back()->bytes();
            } catch (const NumericError& error) {
                failed[static_cast<std::size_t>(next)] = true;
                result.add_note(error.what(), is_row ? next : -1, is_row ? -1 : next);
            }
        }
        return range;
    };

    for (Eigen::Index row = 0; row < rows;) {
        const BlockRange of_a = take(row, failed_rows, a, true, [&](Eigen::Index i) { return wanted.row(i).any(); });
        for (Eigen::Index column = 0; column < columns;) {
            const BlockRange of_b = take(column, failed_columns, b, false, [&](Eigen::Index j) {
                for (const auto i : of_a.places) {
                    if (wanted(i, j)) return true;
                }
                return false;
            });
            if (of_a.blocks.empty() || of_b.blocks.empty()) continue;
            result.place(metric.compare(of_a.blocks, of_b.blocks, layout, setting, options, wanted(of_a.places, of_b.places)),
                         of_a.places, of_b.places);
        }
    }
    return result;
}

}  // namespace cmsweep
