#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/QR>
#include <Eigen/SVD>

#include "cmsweep/base/error.hpp"
#include "metrics.hpp"
#include "pairwise.hpp"

namespace cmsweep {
namespace {

/// Centred features at unit Frobenius norm; if p > n turned into n coordinates (X^T = Q R, so X = R^T Q^T): the nuclear
/// norm does not see orthogonal maps of the features.
struct ScoresBlock : PairBlock {
    ScoresBlock(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point) {
        check_features(features, layout);
        content = features_id(features);
        if (safe_point) safe_point();
        scores = centred_features(features);
        warn_of_dominant_row(scores);
        if (scores.cols() > scores.rows()) {
            const Eigen::HouseholderQR<Eigen::MatrixXd> qr(scores.transpose());
            const Index n = scores.rows();
            Eigen::MatrixXd r = qr.matrixQR().topRows(n);
            r.triangularView<Eigen::StrictlyLower>().setZero();
            scores = r.transpose().eval();
        }
        const double norm = scores.norm();
        if (!(norm > 0)) {
            throw NumericError("all n = " + std::to_string(features.rows()) +
                               " rows are equal (constant features): similarity is undefined");
        }
        scores /= norm;
    }
    std::size_t bytes() const override { return static_cast<std::size_t>(scores.size()) * sizeof(double); }
    Eigen::MatrixXd scores;
};

double nuclear_norm(const Eigen::MatrixXd& matrix) { return Eigen::BDCSVD<Eigen::MatrixXd>(matrix).singularValues().sum(); }

Eigen::MatrixXd cross(const Eigen::MatrixXd& x, const Eigen::MatrixXd& y) {
    Eigen::MatrixXd product(x.cols(), y.cols());
    product.noalias() = x.transpose() * y;
    return product;
}

EntryFigures figures(const ScoresBlock& x, const ScoresBlock& y, const PairContext& context) {
    EntryFigures entry;
    entry.null_mean = std::numeric_limits<double>::quiet_NaN();
    entry.value = std::min(1.0, nuclear_norm(cross(x.scores, y.scores)));
    for (const auto& rows : context.permuted) {
        context.safe_point();
        entry.permuted.push_back(std::min(1.0, nuclear_norm(cross(x.scores, rows_at(y.scores, rows)))));
    }
    for (int g = 0; context.deletions && g < context.order.groups(); ++g) {
        context.safe_point();
        const std::vector<Index> rows = rows_without(context.order, g);
        Eigen::MatrixXd kept_x = rows_at(x.scores, rows);
        Eigen::MatrixXd kept_y = rows_at(y.scores, rows);
        kept_x.rowwise() -= kept_x.colwise().mean().eval();
        kept_y.rowwise() -= kept_y.colwise().mean().eval();
        const double norms = kept_x.norm() * kept_y.norm();
        if (norms > 1e-12) {
            entry.deleted.push_back(std::min(1.0, nuclear_norm(cross(kept_x, kept_y)) / norms));
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
