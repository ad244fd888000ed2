#include "cross_covariance.hpp"

#include <algorithm>
#include <numeric>

namespace cmsweep {
namespace {

constexpr Index kRows = 512;              // rows that are centred and multiplied at a time
constexpr Index kNumbers = Index{1} << 25;  // of one group's cross-covariances held at a time: 256 MiB

/// Columns of y that are multiplied at a time, so that `matrices` cross-covariances of p rows fit. Depends on the
/// shapes only.
Index columns_at_once(Index p, Index matrices) { return std::max<Index>(64, kNumbers / (p * matrices) / 64 * 64); }

/// sum over places in [begin, begin + count) of x_i^T y_(place_of_y[i]), columns [column, column + width) of y.
void add_cross_covariance(const KernelBlock& x, const KernelBlock& y, Index begin, Index count, const Index* place_of_y,
                          Index column, Index width, Eigen::MatrixXd& sum, const SafePoint& safe_point) {
    std::vector<Index> places(static_cast<std::size_t>(kRows));
    RowMajorMatrix centred;
    Panel panel_x;
    Panel panel_y;
    for (Index at = begin; at < begin + count; at += kRows) {
        if (safe_point) safe_point();
        const Index rows = std::min(kRows, begin + count - at);
        std::iota(places.begin(), places.end(), at);
        x.centred(places.data(), rows, centred);
        interleave_columns(centred, panel_x);
        y.centred(place_of_y + at, rows, centred);
        interleave_columns(centred, panel_y);
        add_product(panel_x, panel_y, column, rows, sum.leftCols(width));
    }
}

/// Sums of one number a row over the rows that remain without each group, last over all.
Eigen::VectorXd sums_without(const Eigen::VectorXd& of_rows, const RowOrder& order) {
    const int groups = order.groups();
    Eigen::VectorXd part = Eigen::VectorXd::Zero(groups);
    for (const auto& run : order.batches.front().runs) part(run.group) += of_rows.segment(run.begin, run.count).sum();
    Eigen::VectorXd result = Eigen::VectorXd::Constant(groups + 1, part.sum());
    result.head(groups) -= part;
    return result;
}

/// For each group: the sum over the rows that remain without it of weight_i x_i, times the sum of those rows x_i.
Eigen::VectorXd weighted_by_kept_rows(const KernelBlock& x, const Eigen::VectorXd& weights, const RowOrder& order,
                                      const SafePoint& safe_point) {
    Eigen::MatrixXd part = Eigen::MatrixXd::Zero(x.p, order.groups());
    RowMajorMatrix row;
    for (Index place = 0; place < order.rows(); ++place) {
        if (safe_point && place % kRows == 0) safe_point();
        x.centred(&place, 1, row);
        part.col(order.group[place]) += weights(place) * row.row(0).transpose();
    }
    const Eigen::VectorXd total = part.rowwise().sum();
    part = (-part).colwise() + total;
    return part.cwiseProduct(x.kept_rows).colwise().sum().transpose();
}

}  // namespace

Eigen::VectorXd cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order, bool deletions,
                               const SafePoint& safe_point) {
    const int groups = order.groups();
    const RowBatch& batch = order.batches.front();
    std::vector<Index> places(static_cast<std::size_t>(order.rows()));
    std::iota(places.begin(), places.end(), Index{0});
    Eigen::VectorXd result = Eigen::VectorXd::Zero(groups + 1);       // ||C||^2, C the cross-covariance of the kept rows
    Eigen::VectorXd of_row_sums = Eigen::VectorXd::Zero(groups + 1);  // sum over the kept rows of r_x r_y

    const Index width = columns_at_once(x.p, groups + 1);
    std::vector<Eigen::MatrixXd> part(static_cast<std::size_t>(groups));
    for (Index column = 0; column < y.p; column += width) {
        const Index columns = std::min(width, y.p - column);
        Eigen::MatrixXd total = Eigen::MatrixXd::Zero(x.p, columns);
        for (const auto& run : batch.runs) {
            part[run.group] = Eigen::MatrixXd::Zero(x.p, columns);
            add_cross_covariance(x, y, run.begin, run.count, places.data(), column, columns, part[run.group], safe_point);
            total += part[run.group];
            if (!deletions) part[run.group].resize(0, 0);
        }
        result(groups) += total.squaredNorm();
        if (!deletions) continue;
        for (int g = 0; g < groups; ++g) {
            part[g] = total - part[g];
            result(g) += part[g].squaredNorm();
            // Not by BLAS, whose order of summation may follow the number of threads.
            const Eigen::VectorXd of_x = part[g].transpose().lazyProduct(x.kept_rows.col(g));
            of_row_sums(g) += of_x.dot(y.kept_rows.col(g).segment(column, columns));
        }
    }

    // Row sums are r_i = x_i . s with s the sum of the kept rows (0 if none is deleted), less |x_i|^2 if unbiased; so their
    // products follow from C and from rows weighted by the other block's squares, and nothing of n numbers is kept.
    Eigen::VectorXd total_x = Eigen::VectorXd::Zero(groups + 1);
    Eigen::VectorXd total_y = Eigen::VectorXd::Zero(groups + 1);
    if (deletions) {
        total_x.head(groups) = x.kept_rows.colwise().squaredNorm();
        total_y.head(groups) = y.kept_rows.colwise().squaredNorm();
    }
    if (x.recipe.unbiased) {
        const auto without = [&](const Eigen::VectorXd& of_rows) { return sums_without(of_rows, order); };
        const Eigen::VectorXd diagonal = without(x.squares.cwiseProduct(y.squares));
        result -= diagonal;
        of_row_sums += diagonal;
        total_x -= without(x.squares);
        total_y -= without(y.squares);
        if (deletions) {
            of_row_sums.head(groups) -= weighted_by_kept_rows(x, y.squares, order, safe_point) +
                                        weighted_by_kept_rows(y, x.squares, order, safe_point);
        }
    }
    for (int g = deletions ? 0 : groups; g <= groups; ++g) {
        const Index kept = order.rows() - (g == groups ? 0 : order.group_rows[g]);
        if (kept < fewest_rows(x.recipe)) {
            result(g) = 0;
            continue;
        }
        const CentringWeights weights = centring_weights(x.recipe, kept, false);
        result(g) += weights.total * total_x(g) * total_y(g) - weights.rows * of_row_sums(g);
    }
    if (!deletions) result.head(groups).setZero();
    return result * (x.scale * y.scale);
}

std::vector<double> permuted_cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order,
                                            const PlacePermutations& permutations, const SafePoint& safe_point) {
    const Index width = columns_at_once(x.p, 1);
    const Index n = order.rows();
    const CentringWeights weights = centring_weights(x.recipe, n, false);
    std::vector<double> result;
    for (std::size_t k = 0; k < permutations.count(); ++k) {
        const std::vector<Index> permuted = permutations[k];
        double value = 0;
        for (Index column = 0; column < y.p; column += width) {
            const Index columns = std::min(width, y.p - column);
            Eigen::MatrixXd total = Eigen::MatrixXd::Zero(x.p, columns);
            add_cross_covariance(x, y, 0, n, permuted.data(), column, columns, total, safe_point);
            value += total.squaredNorm();
        }
        if (x.recipe.unbiased) {
            double diagonal = 0;
            for (Index i = 0; i < n; ++i) diagonal += x.squares(i) * y.squares(permuted[i]);
            value -= (1 + weights.rows) * diagonal;  // row sums are minus the diagonal
            value += weights.total * x.squares.sum() * y.squares.sum();
        }
        result.push_back(value * x.scale * y.scale);
    }
    return result;
}

}  // namespace cmsweep
