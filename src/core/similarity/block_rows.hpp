#pragma once

#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <Eigen/Core>

#include "cmsweep/core/similarity/metric.hpp"
#include "rows.hpp"

namespace cmsweep {

/// Rows that are formed and multiplied at a time.
inline constexpr Index kBandRows = 512;

/// Some rows, one below the other.
using RowBand = Eigen::Map<const RowMajorMatrix>;

/// The rows of an n x q matrix, by number: the centred features in float64, each formed when it is wanted, or numbers that
/// are kept.
class BlockRows {
public:
    BlockRows() = default;
    BlockRows(const Features& features, const SafePoint& safe_point);  ///< centred
    explicit BlockRows(RowMajorMatrix kept) : kept_(std::move(kept)) {}

    Index rows() const { return features_.rows() + kept_.rows(); }
    Index cols() const { return features_.cols() + kept_.cols(); }
    /// The rows at `numbers`: in `memory`, or where they are if they are kept and follow each other.
    RowBand at(std::span<const Index> numbers, RowMajorMatrix& memory) const;
    std::size_t bytes() const;  ///< memory held, without the features

private:
    // One of the two is empty.
    Features features_;
    ColumnCentre centre_;
    RowMajorMatrix kept_;
};

/// Calls band(numbers, rows) for kBandRows rows at a time, in order of `numbers`, and safe_point() before each.
void for_bands(const BlockRows& x, std::span<const Index> numbers, const SafePoint& safe_point,
               const std::function<void(std::span<const Index>, const RowBand&)>& band);

/// sum over i of x_(rows_x[i])^T y_(rows_y[i]), q_x x q_y, kBandRows rows at a time in order of i.
Eigen::MatrixXd cross_product(const BlockRows& x, std::span<const Index> rows_x, const BlockRows& y, std::span<const Index> rows_y,
                              const SafePoint& safe_point);

/// Squared norm of every row.
Eigen::VectorXd row_squares(const BlockRows& x, const SafePoint& safe_point);

/// Numbers first … first + count - 1.
std::vector<Index> consecutive(Index first, Index count);

}  // namespace cmsweep
