#pragma once

#include <Eigen/Core>
#include <cstddef>
#include <functional>
#include <vector>

namespace cmsweep {

/// For each row of a square matrix of gains a column of its own, so that the chosen gains have the largest sum. The rows'
/// own columns (row i, column i) win over an assignment that is better by rounding only.
/// Shortest augmenting paths with dual variables, O(n^3) at worst and O(n^2) where the best columns are nearly distinct
/// (Jonker and Volgenant 1987, Computing 38; in the form of Crouse 2016, IEEE Trans. Aerosp. Electron. Syst. 52).
/// Calls safe_point() before each row: with thousands of rows it takes minutes. Throws NumericError if a gain is not finite; std::invalid_argument if the matrix is not square.
std::vector<std::size_t> best_assignment(const Eigen::MatrixXd& gain, const std::function<void()>& safe_point);

/// Sum of the chosen gains.
double assignment_value(const Eigen::MatrixXd& gain, const std::vector<std::size_t>& column);

}  // namespace cmsweep
