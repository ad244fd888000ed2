#include "cmsweep/core/similarity/all_pairs.hpp"

#include <algorithm>
#include <limits>

#include "kernel.hpp"
#include "statistics.hpp"

namespace cmsweep {

std::vector<PairTile> pair_tiles(std::size_t blocks, bool symmetric, std::size_t edge) {
    std::vector<PairTile> tiles;
    for (std::size_t row = 0; row < blocks; row += edge) {
        for (std::size_t column = symmetric ? row : 0; column < blocks; column += edge) {
            tiles.push_back({row, std::min(edge, blocks - row), column, std::min(edge, blocks - column)});
        }
    }
    return tiles;
}

ComparisonResult compare_pair_tile(const MetricInfo& metric, const PreparedBlocks& blocks, const PairTile& tile,
                                   const ProbeLayout& layout, const nlohmann::json& setting,
                                   const ComparisonOptions& options) {
    const auto slice = [&](std::size_t first, std::size_t count) {
        const auto begin = blocks.begin() + static_cast<std::ptrdiff_t>(first);
        return PreparedBlocks(begin, begin + static_cast<std::ptrdiff_t>(count));
    };
    const PreparedBlocks a = slice(tile.row, tile.rows);
    const PreparedBlocks b = slice(tile.column, tile.columns);
    const bool diagonal = metric.symmetric && tile.row == tile.column && tile.rows == tile.columns;
    if (diagonal && !a.empty() && dynamic_cast<const KernelBlock*>(a.front().get()) != nullptr) {
        return compare_kernel(a, b, layout, options, Entries::upper);  // half the products
    }
    ComparisonResult result = metric.compare(a, b, layout, setting, options, false);
    if (diagonal) {
        for (auto* figure : {&result.value, &result.null_mean, &result.null_p95, &result.low, &result.high}) {
            figure->triangularView<Eigen::StrictlyLower>().setConstant(std::numeric_limits<double>::quiet_NaN());
        }
    }
    return result;
}

ComparisonResult compare_all_pairs(const MetricInfo& metric, const PreparedBlocks& blocks, const ProbeLayout& layout,
                                   const nlohmann::json& setting, const ComparisonOptions& options) {
    const auto count = static_cast<Eigen::Index>(blocks.size());
    ComparisonResult result = empty_result(count, count);
    for (const auto& tile : pair_tiles(blocks.size(), metric.symmetric)) {
        const ComparisonResult part = compare_pair_tile(metric, blocks, tile, layout, setting, options);
        const auto place = [&](Eigen::MatrixXd& all, const Eigen::MatrixXd& figures) {
            all.block(static_cast<Eigen::Index>(tile.row), static_cast<Eigen::Index>(tile.column), figures.rows(),
                      figures.cols()) = figures;
        };
        place(result.value, part.value);
        place(result.null_mean, part.null_mean);
        place(result.null_p95, part.null_p95);
        place(result.low, part.low);
        place(result.high, part.high);
        add_message(result, part.message);
    }
    return result;
}

}  // namespace cmsweep
