#pragma once

#include <cstdint>
#include <vector>

#include "metrics.hpp"
#include "pairwise.hpp"
#include "window_sums.hpp"

namespace cmsweep {

/// The k nearest neighbours of rows: those of row i are entries [i k, (i + 1) k), by increasing number.
struct NeighbourLists {
    Index k = 0;
    std::vector<std::int32_t> row;
    std::vector<double> similarity;  ///< to each, the inner product of the rows at unit length
    Index rows() const { return static_cast<Index>(row.size()) / k; }
    std::size_t bytes() const { return row.size() * (sizeof(std::int32_t) + sizeof(double)); }
};

/// Most rows of a NeighbourBlock: n^2 p work, n (k + rows of a group) memory.
inline constexpr Index kMostNeighbourRows = 32768;

/// Nearest neighbours by inner product of rows at unit length (a zero row stays zero), not centred, a row not being its
/// own neighbour (Huh et al. 2024). Inner products are compared in units of 2^-40, so that equal rows are equally near;
/// ties go to the lower row.
struct NeighbourBlock : PairBlock {
    NeighbourBlock(const Features& features, const ProbeLayout& layout, Index neighbours, const SafePoint& safe_point);
    std::size_t bytes() const override;

    NeighbourLists all() const;
    /// Among the rows without `group`, numbered anew; empty if no k neighbours remain.
    NeighbourLists without(const RowOrder& order, int group) const;

    Index n = 0;
    Index k = 0;

private:
    // Nearest first, and so many that after the loss of any one group k remain.
    std::vector<std::size_t> begin_;
    std::vector<std::int32_t> neighbour_;
    std::vector<double> similarity_;
};

/// The lists after the rows have been put in the order `rows` (row i is what row rows[i] was).
NeighbourLists permuted_lists(const NeighbourLists& lists, const std::vector<Index>& rows);

ParameterSpec neighbours_parameter(int least);

}  // namespace cmsweep
