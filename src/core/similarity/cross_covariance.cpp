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
                          Index column, Index width, Eigen::MatrixXd& sum) {
    std::vector<Index> places(static_cast<std::size_t>(kRows));
    RowMajorMatrix centred;
    Panel panel_x;
    Panel panel_y;
    for (Index at = begin; at < begin + count; at += kRows) {
        const Index rows = std::min(kRows, begin + count - at);
        std::iota(places.begin(), places.end(), at);
        x.centred(places.data(), rows, centred);
        interleave_columns(centred, panel_x);
        y.centred(place_of_y + at, rows, centred);
        interleave_columns(centred, panel_y);
        add_product(panel_x, panel_y, column, rows, sum.leftCols(width));
    }
}

}  // namespace

Eigen::VectorXd cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order, bool deletions) {
    const int groups = order.groups();
    const RowBatch& batch = order.batches.front();
    std::vector<Index> places(static_cast<std::size_t>(order.rows()));
    std::iota(places.begin(), places.end(), Index{0});
    Eigen::VectorXd result = Eigen::VectorXd::Zero(groups + 1);

    const Index width = columns_at_once(x.p, groups + 1);
    std::vector<Eigen::MatrixXd> part(static_cast<std::size_t>(groups));
    for (Index column = 0; column < y.p; column += width) {
        const Index columns = std::min(width, y.p - column);
        Eigen::MatrixXd total = Eigen::MatrixXd::Zero(x.p, columns);
        for (const auto& run : batch.runs) {
            part[run.group] = Eigen::MatrixXd::Zero(x.p, columns);
            add_cross_covariance(x, y, run.begin, run.count, places.data(), column, columns, part[run.group]);
            total += part[run.group];
            if (!deletions) part[run.group].resize(0, 0);
        }
        result(groups) += total.squaredNorm();
        if (!deletions) continue;
        for (int g = 0; g < groups; ++g) result(g) += (total - part[g]).squaredNorm();
    }

    double diagonal = 0;
    Eigen::VectorXd diagonal_part = Eigen::VectorXd::Zero(groups);
    if (x.recipe.unbiased) {
        for (const auto& run : batch.runs) {
            for (Index i = run.begin; i < run.begin + run.count; ++i) diagonal_part(run.group) += x.squares(i) * y.squares(i);
            diagonal += diagonal_part(run.group);
        }
    }
    for (int g = deletions ? 0 : groups; g <= groups; ++g) {
        const bool all = g == groups;
        const Index kept = order.rows() - (all ? 0 : order.group_rows[g]);
        if (kept < fewest_rows(x.recipe)) {
            result(g) = 0;
            continue;
        }
        const CentringWeights weights = centring_weights(x.recipe, kept, false);
        result(g) -= diagonal - (all ? 0 : diagonal_part(g));
        result(g) -= weights.rows * x.row_sums.col(g).dot(y.row_sums.col(g));
        result(g) += weights.total * x.row_sums.col(g).sum() * y.row_sums.col(g).sum();
    }
    return result * (x.scale * y.scale);
}

std::vector<double> permuted_cross_products(const KernelBlock& x, const KernelBlock& y, const RowOrder& order,
                                            const std::vector<std::vector<Index>>& places) {
    const Index width = columns_at_once(x.p, 1);
    const Index n = order.rows();
    const CentringWeights weights = centring_weights(x.recipe, n, false);
    std::vector<double> result;
    for (const auto& permuted : places) {
        double value = 0;
        for (Index column = 0; column < y.p; column += width) {
            const Index columns = std::min(width, y.p - column);
            Eigen::MatrixXd total = Eigen::MatrixXd::Zero(x.p, columns);
            add_cross_covariance(x, y, 0, n, permuted.data(), column, columns, total);
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
