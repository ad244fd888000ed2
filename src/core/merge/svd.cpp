#include "svd.hpp"

#include <Eigen/QR>
#include <Eigen/SVD>

#include "cmsweep/base/error.hpp"

namespace cmsweep {

Svd decompose(const Matrix& matrix, const std::string& where) {
    if (!matrix.allFinite()) throw NumericError(where + ": not finite, so it has no singular values");
    if (matrix.rows() < matrix.cols()) {
        Svd transposed = decompose(matrix.transpose(), where);
        std::swap(transposed.left, transposed.right);
        return transposed;
    }
    Svd result;
    result.full = matrix.cols();
    // A tall matrix is reduced to its triangular factor first: bidiagonalising all rows would cost several times more.
    const bool tall = matrix.rows() > 2 * matrix.cols();
    Eigen::HouseholderQR<Matrix> qr;
    if (tall) qr.compute(matrix);
    const Matrix square = tall ? Matrix(qr.matrixQR().topRows(matrix.cols()).triangularView<Eigen::Upper>()) : matrix;
    const Eigen::BDCSVD<Matrix> svd(square, Eigen::ComputeThinU | Eigen::ComputeThinV);
    if (svd.info() != Eigen::Success) throw NumericError(where + ": the singular value decomposition did not converge");
    const auto& values = svd.singularValues();
    const auto rank = (values.array() > 1e-12 * (values.size() > 0 ? values[0] : 0)).count();
    result.values = values.head(rank);
    result.right = svd.matrixV().leftCols(rank);
    if (tall) {
        result.left = Matrix::Zero(matrix.rows(), rank);
        result.left.topRows(matrix.cols()) = svd.matrixU().leftCols(rank);
        result.left.applyOnTheLeft(qr.householderQ());
    } else {
        result.left = svd.matrixU().leftCols(rank);
    }
    return result;
}

Matrix nearest_orthogonal(const Matrix& matrix, const std::string& where) {
    const Svd svd = decompose(matrix, where);
    return svd.left * svd.right.transpose();
}

namespace {
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
}  // namespace

Matrix tau_matrix(const ParameterMergeInput& input, std::size_t member, std::size_t tensor) {
    const auto& shape = input.tensors[tensor].shape;
    const Eigen::Map<const RowMajor> base(input.base[tensor].data(), shape[0], shape[1]);
    const Eigen::Map<const RowMajor> values(input.members[member][tensor].data(), shape[0], shape[1]);
    return values.cast<double>() - base.cast<double>();
}

void write_matrix(const ParameterMergeInput& input, std::size_t tensor, const Matrix& delta, std::span<float> out) {
    const auto& shape = input.tensors[tensor].shape;
    const Eigen::Map<const RowMajor> base(input.base[tensor].data(), shape[0], shape[1]);
    Eigen::Map<RowMajor>(out.data(), shape[0], shape[1]) = (base.cast<double>() + delta).cast<float>();
}

void write_mean(const ParameterMergeInput& input, std::size_t tensor, double scale, std::span<float> out) {
    const double n = static_cast<double>(input.members.size());
    for (std::size_t e = 0; e < out.size(); ++e) {
        const double base = static_cast<double>(input.base[tensor][e]);
        double tau = 0;
        for (const auto& member : input.members) tau += static_cast<double>(member[tensor][e]) - base;
        out[e] = static_cast<float>(base + scale * (tau / n));
    }
}

}  // namespace cmsweep
