#include "canonical.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/Cholesky>
#include <Eigen/QR>
#include <Eigen/SVD>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

struct ThinSvd {
    Eigen::MatrixXd u;         // n x min(n, p)
    Eigen::VectorXd s;
    Eigen::MatrixXd loadings;  // u^T x
};

/// By QR first, so that the decomposition itself is of min(n, p) x min(n, p).
ThinSvd thin_svd(const Eigen::MatrixXd& x) {
    const Index n = x.rows();
    const Index p = x.cols();
    const Index k = std::min(n, p);
    const bool tall = n >= p;
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(tall ? x : Eigen::MatrixXd(x.transpose()));
    Eigen::MatrixXd r = qr.matrixQR().topRows(k);
    r.triangularView<Eigen::StrictlyLower>().setZero();
    const Eigen::MatrixXd small = tall ? r : Eigen::MatrixXd(r.transpose());
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(small, Eigen::ComputeFullU | Eigen::ComputeFullV);
    ThinSvd result;
    result.s = svd.singularValues();
    const Eigen::MatrixXd right = svd.singularValues().asDiagonal() * svd.matrixV().transpose();
    if (tall) {
        result.u = Eigen::MatrixXd::Zero(n, k);
        result.u.topRows(k) = svd.matrixU();
        result.u.applyOnTheLeft(qr.householderQ());
        result.loadings = right;
    } else {
        result.u = svd.matrixU();
        Eigen::MatrixXd transposed = Eigen::MatrixXd::Zero(p, k);
        transposed.topRows(k) = right.transpose();
        transposed.applyOnTheLeft(qr.householderQ());
        result.loadings = transposed.transpose();
    }
    return result;
}

}  // namespace

CanonicalBlock::CanonicalBlock(const Features& features, const ProbeLayout& layout, double variance, const SafePoint& safe_point) {
    check_features(features, layout);
    content = features_id(features);
    n = features.rows();
    if (n < 3) throw NumericError("n = " + std::to_string(n) + " rows: canonical correlations need at least 3");
    const Eigen::MatrixXd x = centred_features(features);
    const ThinSvd svd = thin_svd(x);
    warn_of_dominant_row(x);
    const double total = svd.s.squaredNorm();
    if (!(total > 0)) {
        throw NumericError("all n = " + std::to_string(n) + " rows are equal (constant features): similarity is undefined");
    }
    const double tolerance = static_cast<double>(std::max(n, x.cols())) * std::numeric_limits<float>::epsilon();
    Index k = 0;
    double held = 0;
    while (k < svd.s.size() && svd.s(k) > tolerance * svd.s(0)) {
        held += svd.s(k) * svd.s(k);
        ++k;
        if (variance < 1 && held >= variance * total) break;
    }
    basis = svd.u.leftCols(k);
    loadings = svd.loadings.topRows(k);
    windows = window_sums_of_rows(basis, layout);

    const RowOrder order(layout);
    if (order.groups() < 2) return;
    for (int g = 0; g < order.groups(); ++g) {
        if (safe_point) safe_point();
        const Eigen::MatrixXd kept = rows_at(basis, rows_without(order, g));
        const Eigen::VectorXd sum = kept.colwise().sum().transpose();
        Eigen::MatrixXd gram(k, k);
        gram.noalias() = kept.transpose() * kept;
        gram -= sum * sum.transpose() / static_cast<double>(kept.rows());
        const Eigen::LLT<Eigen::MatrixXd> cholesky(gram);
        const bool sound = cholesky.info() == Eigen::Success && cholesky.matrixLLT().diagonal().minCoeff() > 1e-6;
        factor.push_back(sound ? Eigen::MatrixXd(cholesky.matrixL()) : Eigen::MatrixXd());
    }
}

std::size_t CanonicalBlock::bytes() const {
    std::size_t numbers = static_cast<std::size_t>(basis.size() + loadings.size() + 2 * windows.within.size());
    for (const auto& matrix : factor) numbers += static_cast<std::size_t>(matrix.size());
    return numbers * sizeof(double);
}

Eigen::VectorXd correlations(const Eigen::MatrixXd& cross) {
    return Eigen::BDCSVD<Eigen::MatrixXd>(cross).singularValues().cwiseMin(1.0);
}

ParameterSpec variance_parameter(double default_value) {
    ParameterSpec variance;
    variance.name = "variance";
    variance.low_open = true;  // in (0, 1]
    variance.default_value = default_value;
    variance.summary = "share of the variance that the kept principal directions hold; 1 keeps the numerical rank";
    return variance;
}

std::shared_ptr<const PreparedBlock> prepare_canonical(const Features& features, const ProbeLayout& layout,
                                                       const nlohmann::json& setting, const SafePoint& safe_point) {
    return std::make_shared<const CanonicalBlock>(features, layout, setting.at("variance").get<double>(), safe_point);
}

ComparisonResult compare_canonical(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                   const ComparisonOptions& options, const EntryMask& wanted, const CanonicalValue& value,
                                   bool exact_null) {
    const auto figures = [&](const CanonicalBlock& x, const CanonicalBlock& y, const PairContext& context) {
        EntryFigures entry;
        entry.null_mean = kNan;
        const Index k_x = x.basis.cols();
        const Index k_y = y.basis.cols();
        const auto together = std::to_string(k_x) + " and " + std::to_string(k_y) + " kept dimensions";
        if (x.n <= k_x + k_y) {
            entry.value = kNan;
            entry.message = together + " against n = " + std::to_string(x.n) +
                            " rows: correlations are 1 by chance unless n exceeds both together; raise similarity.windows or "
                            "lower the metric's variance";
            return entry;
        }
        Eigen::MatrixXd cross(k_x, k_y);
        cross.noalias() = x.basis.transpose() * y.basis;
        entry.value = value(cross, x.loadings);
        for (const auto& rows : context.permuted) {
            context.safe_point();
            const Eigen::MatrixXd permuted = rows_at(y.basis, rows);
            Eigen::MatrixXd chance(k_x, k_y);
            chance.noalias() = x.basis.transpose() * permuted;
            entry.permuted.push_back(value(chance, x.loadings));
        }
        if (exact_null) {
            entry.null_mean = mean_over_permutations(x.windows, y.windows, context.layout) /
                              static_cast<double>(std::min(k_x, k_y));
        }
        if (!context.deletions) return entry;
        for (int g = 0; g < context.order.groups(); ++g) {
            context.safe_point();
            const std::vector<Index> rows = rows_without(context.order, g);
            const auto& factor_x = x.factor[static_cast<std::size_t>(g)];
            const auto& factor_y = y.factor[static_cast<std::size_t>(g)];
            if (factor_x.size() == 0 || factor_y.size() == 0 || static_cast<Index>(rows.size()) <= k_x + k_y) {
                entry.deleted.push_back(kNan);
                entry.message = together + ": too many for the rows that remain without a document group: no interval";
                continue;
            }
            const Eigen::MatrixXd kept_x = rows_at(x.basis, rows);
            const Eigen::MatrixXd kept_y = rows_at(y.basis, rows);
            Eigen::MatrixXd kept_cross(k_x, k_y);
            kept_cross.noalias() = kept_x.transpose() * kept_y;
            kept_cross -= kept_x.colwise().sum().transpose() * kept_y.colwise().sum() / static_cast<double>(rows.size());
            factor_x.triangularView<Eigen::Lower>().solveInPlace(kept_cross);
            Eigen::MatrixXd transposed = kept_cross.transpose();
            factor_y.triangularView<Eigen::Lower>().solveInPlace(transposed);
            entry.deleted.push_back(value(transposed.transpose(), factor_x.transpose() * x.loadings));
        }
        return entry;
    };
    return compare_pairwise<CanonicalBlock>(a, b, layout, options, wanted, figures);
}

}  // namespace cmsweep
