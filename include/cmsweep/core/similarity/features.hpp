#pragma once

#include <memory>
#include <utility>

#include <Eigen/Core>

namespace cmsweep {

/// n x p, row-major float32, one row per sample.
using FeatureMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Features of one block, n x p, one row per sample. Copies share the numbers, which do not change any more. They may lie
/// in a mapped file: then the system reads them when they are needed and drops them when memory is short, and n rows
/// need no n x p numbers of memory.
class Features {
public:
    Features() = default;
    Features(FeatureMatrix matrix)  // NOLINT(google-explicit-constructor): a matrix is the common case
        : Features(std::make_shared<const FeatureMatrix>(std::move(matrix))) {}
    /// rows x columns numbers from `values` on, row by row, which last as long as `owner`.
    Features(std::shared_ptr<const void> owner, const float* values, Eigen::Index rows, Eigen::Index columns)
        : owner_(std::move(owner)), values_(values), rows_(rows), columns_(columns) {}

    Eigen::Index rows() const { return rows_; }
    Eigen::Index cols() const { return columns_; }
    Eigen::Index size() const { return rows_ * columns_; }
    /// The numbers of one row.
    const float* row(Eigen::Index row) const { return values_ + row * columns_; }
    Eigen::Map<const FeatureMatrix> matrix() const { return {values_, rows_, columns_}; }

private:
    explicit Features(const std::shared_ptr<const FeatureMatrix>& matrix)
        : Features(matrix, matrix->data(), matrix->rows(), matrix->cols()) {}

    std::shared_ptr<const void> owner_;
    const float* values_ = nullptr;
    Eigen::Index rows_ = 0;
    Eigen::Index columns_ = 0;
};

}  // namespace cmsweep
