#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/QR>
#include <Eigen/SVD>

#include "cmsweep/base/error.hpp"
#include "block_rows.hpp"
#include "metrics.hpp"
#include "pairwise.hpp"

namespace cmsweep {
namespace {

/// Centred features; if p > n turned into n coordinates (X^T = Q R, so X = R^T Q^T): the nuclear norm does not see
/// orthogonal maps of the features.
struct ScoresBlock : PairBlock {
    ScoresBlock(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point) {
        check_features(features, layout, safe_point);
        content = features_id(features, safe_point);
        scores = BlockRows(features, safe_point);
        const Eigen::VectorXd row_square = row_squares(scores, safe_point);
        warn_of_dominant_row(row_square);
        square = row_square.sum();
        if (!(square > 0)) {
            throw NumericError("all n = " + std::to_string(features.rows()) +
                               " rows are equal (constant features): similarity is undefined");
        }
        const Index n = scores.rows();
        if (scores.cols() > n) {
            RowMajorMatrix memory;
            const Eigen::HouseholderQR<Eigen::MatrixXd> qr(scores.at(consecutive(0, n), memory).transpose());
            Eigen::MatrixXd r = qr.matrixQR().topRows(n);
            r.triangularView<Eigen::StrictlyLower>().setZero();
            scores = BlockRows(RowMajorMatrix(r.transpose()));
        }
        const RowOrder order(layout);
        group_sum = Eigen::MatrixXd::Zero(scores.cols(), order.groups());
        group_square = Eigen::VectorXd::Zero(order.groups());
        for (const auto& run : order.batches.front().runs) {
            const auto rows = std::span(order.source).subspan(static_cast<std::size_t>(run.begin), static_cast<std::size_t>(run.count));
            for_bands(scores, rows, safe_point, [&](std::span<const Index>, const RowBand& some) {
                group_sum.col(run.group) += some.colwise().sum().transpose();
                group_square(run.group) += some.squaredNorm();
            });
        }
    }
    std::size_t bytes() const override {
        return scores.bytes() + static_cast<std::size_t>(group_sum.size() + group_square.size()) * sizeof(double);
    }
    /// Squared Frobenius norm of the rows that remain without group g, centred anew; 0 if nothing varies to ten digits.
    double square_without(int g, double remaining) const {
        const double kept = square - group_square(g) - group_sum.col(g).squaredNorm() / remaining;
        return kept > 1e-10 * square ? kept : 0;
    }

    BlockRows scores;
    double square = 0;             // squared Frobenius norm
    Eigen::MatrixXd group_sum;     // column sums over each group's rows, one group a column
    Eigen::VectorXd group_square;  // squared Frobenius norm of each group's rows
};

double nuclear_norm(const Eigen::MatrixXd& matrix) { return Eigen::BDCSVD<Eigen::MatrixXd>(matrix).singularValues().sum(); }

EntryFigures figures(const ScoresBlock& x, const ScoresBlock& y, const PairContext& context) {
    EntryFigures entry;
    entry.null_mean = std::numeric_limits<double>::quiet_NaN();
    const auto similarity = [](const Eigen::MatrixXd& cross, double square_x, double square_y) {
        return std::min(nuclear_norm(cross) / std::sqrt(square_x) / std::sqrt(square_y), 1.0);  // NaN stays NaN
    };
    const std::vector<Index> rows = consecutive(0, x.scores.rows());
    const Eigen::MatrixXd cross = cross_product(x.scores, rows, y.scores, rows, context.safe_point);
    entry.value = similarity(cross, x.square, y.square);
    for (const auto& permutation : context.permutations) {
        context.safe_point();
        const std::vector<Index> permuted = permuted_rows(context.layout, permutation);
        entry.permuted.push_back(similarity(cross_product(x.scores, rows, y.scores, permuted, context.safe_point), x.square, y.square));
    }
    for (int g = 0; context.deletions && g < context.order.groups(); ++g) {
        context.safe_point();
        const auto without = context.rows_of(g);
        const double remaining = static_cast<double>(rows.size() - without.size());
        const double square_x = x.square_without(g, remaining);
        const double square_y = y.square_without(g, remaining);
        if (square_x > 0 && square_y > 0) {
            Eigen::MatrixXd kept = cross - cross_product(x.scores, without, y.scores, without, context.safe_point);
            kept.noalias() -= x.group_sum.col(g) * y.group_sum.col(g).transpose() / remaining;
            entry.deleted.push_back(similarity(kept, square_x, square_y));
        } else {
            entry.deleted.push_back(std::numeric_limits<double>::quiet_NaN());
            entry.message = "without one of the document groups nothing varies: no interval";
        }
    }
    return entry;
}

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json&, const SafePoint& safe_point) {
    return std::make_shared<const ScoresBlock>(features, layout, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_pairwise<ScoresBlock>(a, b, layout, options, wanted, figures);
}

}  // namespace

/// ||X^T Y||_* of centred X, Y at unit Frobenius norm: 1 minus half the squared orthogonal Procrustes distance.
MetricInfo procrustes() {
    MetricInfo info;
    info.name = "procrustes";
    info.summary = "nuclear norm of the cross-covariance: how well a rotation carries one into the other";
    info.source = "Ding, Denain, Steinhardt 2021, Grounding Representation Similarity with Statistical Testing, eq. 3";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
