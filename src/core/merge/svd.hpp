#pragma once

#include <Eigen/Core>

#include "cmsweep/core/merge/method.hpp"

namespace cmsweep {

using Matrix = Eigen::MatrixXd;

/// Thin singular value decomposition; singular values below 1e-12 of the largest are left out with their vectors, which
/// the matrix does not determine. An all-zero matrix has none.
struct Svd {
    Matrix left;             ///< rows x rank
    Eigen::VectorXd values;  ///< decreasing
    Matrix right;            ///< columns x rank
    Eigen::Index full = 0;   ///< min(rows, columns)
};

/// Throws NumericError if it does not converge or the matrix is not finite; `where` goes into the message.
Svd decompose(const Matrix& matrix, const std::string& where);

/// The matrix with orthonormal columns (or, if wide, the partial isometry) nearest to `matrix`: U V^T of its
/// decomposition.
Matrix nearest_orthogonal(const Matrix& matrix, const std::string& where);

/// theta_i - theta_0 of a two-dimensional tensor as stored.
Matrix tau_matrix(const ParameterMergeInput& input, std::size_t member, std::size_t tensor);

/// Writes theta_0 + delta.
void write_matrix(const ParameterMergeInput& input, std::size_t tensor, const Matrix& delta, std::span<float> out);

/// Writes theta_0 + scale x mean of the task vectors: what spectral methods do with vectors.
void write_mean(const ParameterMergeInput& input, std::size_t tensor, double scale, std::span<float> out);

}  // namespace cmsweep
