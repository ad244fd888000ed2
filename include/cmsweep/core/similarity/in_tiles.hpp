#pragma once

#include <functional>
#include <memory>

#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

/// Gives block i of a list, prepared by the metric. It may be called again for a block that was given before.
using BlockSource = std::function<std::shared_ptr<const PreparedBlock>(Eigen::Index)>;

/// metric.compare() of `rows` blocks from `a` with `columns` blocks from `b`, with no more than about `memory` bytes of
/// prepared blocks at a time (two blocks at least): the matrix is cut into tiles, each one call of compare(). An entry's
/// bits are those of a comparison of its two blocks alone. Where a source throws NumericError the block's entries are
/// NaN and a note says why.
ComparisonResult compare_in_tiles(const MetricInfo& metric, Eigen::Index rows, const BlockSource& a, Eigen::Index columns,
                                  const BlockSource& b, const ProbeLayout& layout, const nlohmann::json& setting,
                                  const ComparisonOptions& options, const EntryMask& wanted, std::size_t memory);

}  // namespace cmsweep
