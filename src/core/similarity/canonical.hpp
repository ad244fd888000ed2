#pragma once

#include <functional>
#include <vector>

#include <Eigen/Core>

#include "metrics.hpp"
#include "pairwise.hpp"
#include "window_sums.hpp"

namespace cmsweep {

/// A representation's own part of canonical correlation analysis: the principal directions that hold `variance` of the
/// sum of squares (cumulated squared singular values against the sum of *all* squared singular values: Raghu et al.
/// 2017; the total must not be that of the kept ones, nor of unsquared values), at most the numerical rank of float32
/// data: singular values above max(n, p) 2^-23 times the largest.
struct CanonicalBlock : PairBlock {
    CanonicalBlock(const Features& features, const ProbeLayout& layout, double variance, const SafePoint& safe_point);
    std::size_t bytes() const override;

    Index n = 0;
    Eigen::MatrixXd basis;     ///< n x k, orthonormal: left singular vectors, rows as in the feature matrix
    Eigen::MatrixXd loadings;  ///< k x p: basis^T X
    /// Cholesky factor of the centred Gram matrix of the basis's rows without each group, k x k; empty where singular.
    std::vector<Eigen::MatrixXd> factor;
    WindowSums windows;        ///< of the projection basis basis^T
};

/// The value from the k_x x k_y cross-correlation of two whitened bases; `loadings` are x's in its whitened basis.
using CanonicalValue = std::function<double(const Eigen::MatrixXd& correlation, const Eigen::MatrixXd& loadings)>;

/// MetricInfo::prepare and compare of the canonical metrics. `null_mean` may be empty. Intervals keep the principal
/// directions of all rows and whiten them anew without each group. An entry is NaN with a message unless n exceeds the
/// two kept dimensions together: below that some correlations are 1 whatever the data.
std::shared_ptr<const PreparedBlock> prepare_canonical(const Features& features, const ProbeLayout& layout,
                                                       const nlohmann::json& setting, const SafePoint& safe_point);
ComparisonResult compare_canonical(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                   const ComparisonOptions& options, const EntryMask& wanted, const CanonicalValue& value,
                                   bool exact_null);
ParameterSpec variance_parameter(double default_value);

/// Canonical correlations in [0, 1], decreasing.
Eigen::VectorXd correlations(const Eigen::MatrixXd& cross);

}  // namespace cmsweep
