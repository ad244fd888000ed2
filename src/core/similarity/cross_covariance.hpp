#pragma once

#include <vector>

#include <Eigen/Core>

#include "kernel.hpp"

namespace cmsweep {

/// Centred inner products of two linear-kernel blocks from p x p cross-covariances, as gram_products() gives them:
/// without each group if `deletions` (else 0), and last over all rows. Nothing of size n x n is formed.
Eigen::VectorXd cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order, bool deletions,
                               const SafePoint& safe_point);

/// The same over all rows with y's rows permuted.
std::vector<double> permuted_cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order,
                                            const PlacePermutations& permutations, const SafePoint& safe_point);

}  // namespace cmsweep
