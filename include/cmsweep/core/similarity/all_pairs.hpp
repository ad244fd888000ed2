#pragma once

#include <vector>

#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

/// A rectangle of the matrix of all comparisons: blocks [row, row + rows) with blocks [column, column + columns).
struct PairTile {
    std::size_t row = 0;
    std::size_t rows = 0;
    std::size_t column = 0;
    std::size_t columns = 0;
};

/// The tiles that hold every comparison among `blocks` blocks once: on and above the diagonal if the metric is
/// symmetric, else all. Tiles are the unit to spread over ranks and bound the memory (`edge` blocks a side); whichever
/// way the matrix is cut, its entries keep their bits.
std::vector<PairTile> pair_tiles(std::size_t blocks, bool symmetric, std::size_t edge = 240);

/// One tile, tile.rows x tile.columns. On a diagonal tile of a symmetric metric entries below the diagonal are NaN.
ComparisonResult compare_pair_tile(const MetricInfo& metric, const PreparedBlocks& blocks, const PairTile& tile,
                                   const ProbeLayout& layout, const nlohmann::json& setting,
                                   const ComparisonOptions& options);

/// Every comparison among R blocks, R x R. Entry (i, j) compares block i with block j, whose windows the null permutes;
/// symmetric metrics fill i <= j, the rest is NaN. Equal to metric.compare() of the same two blocks, bit for bit.
ComparisonResult compare_all_pairs(const MetricInfo& metric, const PreparedBlocks& blocks, const ProbeLayout& layout,
                                   const nlohmann::json& setting, const ComparisonOptions& options);

}  // namespace cmsweep
