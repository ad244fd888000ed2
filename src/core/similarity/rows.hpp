#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "cmsweep/base/id.hpp"
#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

using Index = Eigen::Index;
using RowMajorMatrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// A run of consecutive places whose rows are all of one jackknife group.
struct RowRun {
    Index begin = 0;
    Index count = 0;
    int group = 0;
    Index packed = 0;  ///< segments: where the strip of this one starts in a packed Gram matrix, see RowOrder
};

/// Most rows of a segment.
inline constexpr Index kSegmentRows = 32;

/// Rows that are centred together: all rows, or one minibatch.
struct RowBatch {
    Index begin = 0;
    Index count = 0;
    std::vector<RowRun> runs;      ///< one a group, in order of groups
    std::vector<RowRun> segments;  ///< the runs in about equal pieces of at most kSegmentRows rows
};

/// The order in which metrics keep the rows of a representation. A row's number here is its *place*: batches one after
/// the other, in each the rows sorted by jackknife group (stably), so that deleting a group deletes a run.
/// Depends on the layout and the batch size only.
///
/// Packed Gram matrices keep the tiles segment x segment on and above the diagonal, each row-major: batch after batch,
/// strip after strip (a segment's rows from its own columns on), so that the same tile of all Gram matrices of one order
/// is a contiguous vector at the same offset.
class RowOrder {
public:
    /// `batch_rows` 0: one batch of all rows; else batches of that many consecutive rows, the remainder dropped (one
    /// batch of all rows if there are fewer). Throws std::invalid_argument if the layout contradicts itself.
    explicit RowOrder(const ProbeLayout& layout, Index batch_rows = 0);

    Index rows() const { return static_cast<Index>(source.size()); }
    int groups() const { return static_cast<int>(group_rows.size()); }
    std::vector<Index> source;      ///< place -> row of the feature matrix
    std::vector<int> group;         ///< place -> group, numbered 0 … groups()-1 without gaps; all 0 if the layout has none
    std::vector<RowBatch> batches;
    std::vector<Index> group_rows;  ///< rows of each group
    Index packed = 0;               ///< numbers in a packed Gram matrix
};

/// `count` permutations of the windows, the same for every comparison on this probe: drawn one after the other from
/// Stream(0, "permutation", {layout.id}).
std::vector<std::vector<std::int64_t>> window_permutations(const ProbeLayout& layout, int count);

/// Row of the feature matrix -> row of the feature matrix, for one permutation of the windows: place a of window w
/// takes place a of window permutation[w].
std::vector<Index> permuted_rows(const ProbeLayout& layout, const std::vector<std::int64_t>& permutation);

/// The same permutations by place, for an order of all rows in one batch: one at a time, since each has as many numbers as there are
/// rows. Refers to layout and order.
class PlacePermutations {
public:
    PlacePermutations(const ProbeLayout& layout, const RowOrder& order, int count);
    std::size_t count() const { return windows_.size(); }
    /// Element i of permutation k: the place whose row stands at place i.
    std::vector<Index> operator[](std::size_t k) const;

private:
    const ProbeLayout& layout_;
    const RowOrder& order_;
    std::vector<std::vector<std::int64_t>> windows_;
    std::vector<Index> place_of_;  ///< row -> place
};

/// Throws std::invalid_argument unless `features` has the layout's rows, NumericError unless it has columns and every
/// value is finite.
void check_features(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point);

/// Hash of shape and values: equal representations are recognised by it.
Id features_id(const Features& features, const SafePoint& safe_point);

/// Column centring in float64. The first row is subtracted before the mean is formed, so a large common mean costs no
/// digits and constant columns become exactly zero.
struct ColumnCentre {
    Eigen::RowVectorXd first;
    Eigen::RowVectorXd mean;  ///< of what is left
};
ColumnCentre column_centre(const Features& features, const SafePoint& safe_point);
/// Row `row` of the centred features into `out` (p values).
void centred_row(const Features& features, const ColumnCentre& centre, Index row, double* out);

/// The row that holds the largest share of the total of `shares` (>= 0), if that share is so large that the value
/// rests on it; else -1.
Index dominant_row(const Eigen::VectorXd& shares, double* share);

/// What to say of it; empty for row -1.
std::string dominance_message(Index row, double share);

}  // namespace cmsweep
