#pragma once

#include <array>
#include <vector>

#include <Eigen/Core>

#include "rows.hpp"

namespace cmsweep {

/// A product is formed kStripRows x kStripColumns entries at a time.
inline constexpr Index kStripRows = 24;
inline constexpr Index kStripColumns = 8;

/// The columns of one factor of a product, interleaved for add_tile_product(): kStripRows of them side by side, one row
/// after the other. Columns that fill up the last tile hold anything: they reach nothing that is used.
class Panel {
public:
    /// Contents are lost. Memory is kept from time to time and grows only.
    void reshape(Index rows, Index columns);
    /// The row `row` of the tile that holds column `column`, from that column on; a multiple of kStripColumns.
    double* at(Index row, Index column) { return numbers_.data() + place(row, column); }
    const double* at(Index row, Index column) const { return numbers_.data() + place(row, column); }
    /// Rows [row, row + count) of kStripColumns columns from `column` on; a column without a source is 0.
    void interleave(Index row, Index column, const std::array<const double*, kStripColumns>& sources, Index count);

private:
    Index place(Index row, Index column) const {
        return start_ + column / kStripRows * kStripRows * rows_ + row * kStripRows + column % kStripRows;
    }
    Index rows_ = 0;
    Index start_ = 0;  ///< where a cache line begins
    Eigen::VectorXd numbers_;
};

/// sums(i, j) += sum over k < count of a_i[k] b_j[k] for kStripRows columns of `a` and kStripColumns of `b`, each at a
/// place that Panel::at() gave; `sums` is column-major. Every entry is one running sum in order of k, so its bits depend
/// on its two columns and on the processor's kind only: not on the place in the tile, the number of threads, or which BLAS
/// is installed.
void add_tile_product(const double* a, const double* b, Index count, double* sums);

/// The same for one kind of processor.
using TileKernel = void (*)(const double* a, const double* b, Index count, double* sums);
/// Those that this processor can run; the last is the fastest, which add_tile_product() takes.
std::vector<TileKernel> tile_kernels();

/// Rows of x as the columns of a panel.
void interleave_rows(const RowMajorMatrix& x, Panel& panel);
/// Columns of x as the columns of a panel.
void interleave_columns(const RowMajorMatrix& x, Panel& panel);

/// sum += A^T B over `count` rows of the panels, B's columns from `first` on (a multiple of kStripColumns), on
/// in_parallel()'s threads; bits as of add_tile_product().
void add_product(const Panel& a, const Panel& b, Index first, Index count, Eigen::Ref<Eigen::MatrixXd> sum);

}  // namespace cmsweep
