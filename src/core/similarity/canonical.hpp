#pragma once

#include <functional>
#include <optional>

#include <Eigen/Core>

#include "block_rows.hpp"
#include "metrics.hpp"
#include "pairwise.hpp"
#include "window_sums.hpp"

namespace cmsweep {

struct CanonicalRecipe {
    double variance = 1;
    bool windows = false;            ///< are window sums wanted, for an exact null mean?
    std::optional<bool> keep_basis;  ///< for tests; else keeps_basis() decides
};

/// Is the basis of all rows kept? Its memory would grow with n: a long one is formed from the features when it is needed.
/// Depends on n and p only. Where it is not, the smallest kept singular value is at least 2^-11 of the largest,
/// so the products of features below, which are transformed into those of bases, lose no more than their squares, 2^-22.
bool keeps_basis(Index n, Index p);

/// A representation's own part of canonical correlation analysis: the principal directions that hold `variance` of the
/// sum of squares (cumulated squared singular values against the sum of *all* squared singular values: Raghu et al.
/// 2017; the total must not be that of the kept ones, nor of unsquared values), at most the numerical rank of float32
/// data: singular values above max(n, p) 2^-23 times the largest, at most 2^-11 of it, so that more rows do not take
/// directions away. With X = U S V^T over them the basis is U, n x k,
/// orthonormal, and its columns sum to 0.
struct CanonicalBlock : PairBlock {
    CanonicalBlock(const Features& features, const ProbeLayout& layout, const CanonicalRecipe& recipe, const SafePoint& safe_point);
    std::size_t bytes() const override;
    /// Rows of the basis, by number in the feature matrix; as BlockRows::at().
    RowBand basis_rows(std::span<const Index> numbers, RowMajorMatrix& memory) const;

    Index n = 0;
    Index k = 0;
    BlockRows rows;              ///< of the basis if kept, else of the centred features
    bool kept = false;
    Eigen::MatrixXd loadings;    ///< k x p: U^T X = S V^T
    Eigen::VectorXd squares;     ///< S^2: U = X loadings^T S^-2
    WindowSums windows;          ///< of the projection U U^T, if wanted
};

/// What x's own features are in its whitened basis, k_x x p.
using Loadings = std::function<Eigen::MatrixXd()>;

/// The value from the k_x x k_y cross-correlation of two whitened bases.
using CanonicalValue = std::function<double(const Eigen::MatrixXd& correlation, const Loadings& loadings)>;

/// MetricInfo::prepare and compare of the canonical metrics. `null_mean` is exact if both blocks have window sums. Intervals
/// keep the principal directions of all rows and whiten them anew without each group. An entry is NaN with a message unless
/// n exceeds the two kept dimensions together: below that some correlations are 1 whatever the data.
std::shared_ptr<const PreparedBlock> prepare_canonical(const Features& features, const ProbeLayout& layout,
                                                       const nlohmann::json& setting, const SafePoint& safe_point);
ComparisonResult compare_canonical(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                   const ComparisonOptions& options, const EntryMask& wanted, const CanonicalValue& value);
ParameterSpec variance_parameter(double default_value);

/// Canonical correlations in [0, 1], decreasing.
Eigen::VectorXd correlations(const Eigen::MatrixXd& cross);

}  // namespace cmsweep
