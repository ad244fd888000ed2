#pragma once

#include <functional>

#include <Eigen/Core>

#include "rows.hpp"

namespace cmsweep {

/// What the exact mean of <G, G'> over permutations of whole windows of G' needs of an n x n matrix G: its window x
/// window blocks (c x c each) summed, on the diagonal and off it. With w windows, a permutation takes a window to any of
/// w and a pair of different windows to any of w (w - 1), so the mean is
///     <within, within'> / w + <between, between'> / (w (w - 1)).
/// For c = 1 that is tr G tr G' / (n - 1) if rows and columns sum to 0.
struct WindowSums {
    Eigen::MatrixXd within;   ///< empty: not kept
    Eigen::MatrixXd between;

    /// More rows a window than this, and the sums take too much memory.
    static constexpr Index kLargestWindow = 2048;

    static WindowSums zero(const ProbeLayout& layout);
    /// Entry of G at two rows of the feature matrix.
    void add(const ProbeLayout& layout, Index row, Index column, double value) {
        const Index c = layout.rows_per_window;
        (row / c == column / c ? within : between)(row % c, column % c) += value;
    }
};

/// The sums of G = Z Z^T from Z (n x k); rows(first, count) gives some rows, numbered as in the feature matrix.
WindowSums window_sums_of_rows(const ProbeLayout& layout, Index k, const std::function<RowMajorMatrix(Index, Index)>& rows);

/// NaN if there are no sums or fewer than two windows.
double mean_over_permutations(const WindowSums& a, const WindowSums& b, const ProbeLayout& layout);

}  // namespace cmsweep
