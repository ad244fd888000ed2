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

constexpr Index kKeptRows = 4096;
constexpr double kLargestTolerance = 0x1p-11;  // of kKeptRows rows
constexpr Index kKeptPerFeature = 4;

/// X = U S V^T, min(n, p) directions.
struct PrincipalDirections {
    Eigen::VectorXd s;         // decreasing
    Eigen::MatrixXd loadings;  // U^T X = S V^T
    RowMajorMatrix basis;      // n < p only: U
};

/// R of X = Q R (n >= p), p x p, from R of the rows so far above some more rows: as stable as all at once, which X^T X is
/// not, and about 6 p rows in memory.
Eigen::MatrixXd r_factor(const BlockRows& x, const SafePoint& safe_point) {
    const Index n = x.rows();
    const Index p = x.cols();
    const Index fresh = std::max(kBandRows, 2 * p);
    Eigen::MatrixXd stacked(std::min(n, p + fresh), p);
    RowMajorMatrix memory;
    Index filled = 0;
    for (Index first = 0; first < n;) {
        if (safe_point) safe_point();
        const Index count = std::min(n - first, stacked.rows() - filled);
        stacked.middleRows(filled, count) = x.at(consecutive(first, count), memory);
        Eigen::Ref<Eigen::MatrixXd> so_far = stacked.topRows(filled + count);
        const Eigen::HouseholderQR<Eigen::Ref<Eigen::MatrixXd>> in_place(so_far);
        stacked.topRows(p).triangularView<Eigen::StrictlyLower>().setZero();
        first += count;
        filled = p;
    }
    return stacked.topRows(p);
}

/// By QR first, so that the decomposition itself is of min(n, p) x min(n, p).
PrincipalDirections principal_directions(const BlockRows& x, const SafePoint& safe_point) {
    PrincipalDirections result;
    if (x.rows() >= x.cols()) {
        const Eigen::BDCSVD<Eigen::MatrixXd> svd(r_factor(x, safe_point), Eigen::ComputeFullV);
        result.s = svd.singularValues();
        result.loadings = result.s.asDiagonal() * svd.matrixV().transpose();
        return result;
    }
    RowMajorMatrix memory;
    const RowBand all = x.at(consecutive(0, x.rows()), memory);
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(all.transpose());
    Eigen::MatrixXd r = qr.matrixQR().topRows(x.rows());
    r.triangularView<Eigen::StrictlyLower>().setZero();
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(r.transpose(), Eigen::ComputeFullU);
    result.s = svd.singularValues();
    result.basis = svd.matrixU();
    result.loadings.noalias() = svd.matrixU().transpose() * all;
    return result;
}

/// U_x^T U_y over rows_x of x and as many rows_y of y, k_x x k_y.
Eigen::MatrixXd basis_product(const CanonicalBlock& x, std::span<const Index> rows_x, const CanonicalBlock& y,
                              std::span<const Index> rows_y, const SafePoint& safe_point) {
    Eigen::MatrixXd product = cross_product(x.rows, rows_x, y.rows, rows_y, safe_point);
    if (!x.kept) product = x.squares.cwiseInverse().asDiagonal() * (x.loadings * product);
    if (!y.kept) product = product * y.loadings.transpose() * y.squares.cwiseInverse().asDiagonal();
    return product;
}

/// Two bases without some rows, centred anew.
struct KeptProducts {
    Eigen::MatrixXd cross;     // k_x x k_y
    Eigen::MatrixXd factor_x;  // Cholesky factors of the Gram matrices; empty where singular
    Eigen::MatrixXd factor_y;
};

/// What remains of the bases' products, the identity and `cross`, when `rows` are taken away.
KeptProducts products_without(const CanonicalBlock& x, const CanonicalBlock& y, const Eigen::MatrixXd& cross,
                              std::span<const Index> rows, const SafePoint& safe_point) {
    KeptProducts kept{cross, Eigen::MatrixXd::Identity(x.k, x.k), Eigen::MatrixXd::Identity(y.k, y.k)};
    Eigen::VectorXd sum_x = Eigen::VectorXd::Zero(x.k);
    Eigen::VectorXd sum_y = Eigen::VectorXd::Zero(y.k);
    RowMajorMatrix memory_x;
    RowMajorMatrix memory_y;
    for (std::size_t first = 0; first < rows.size(); first += kBandRows) {
        if (safe_point) safe_point();
        const auto some = rows.subspan(first, std::min<std::size_t>(kBandRows, rows.size() - first));
        const RowBand of_x = x.basis_rows(some, memory_x);
        const RowBand of_y = y.basis_rows(some, memory_y);
        kept.cross.noalias() -= of_x.transpose() * of_y;
        kept.factor_x.selfadjointView<Eigen::Lower>().rankUpdate(of_x.transpose(), -1);
        kept.factor_y.selfadjointView<Eigen::Lower>().rankUpdate(of_y.transpose(), -1);
        sum_x += of_x.colwise().sum().transpose();
        sum_y += of_y.colwise().sum().transpose();
    }
    const double remaining = static_cast<double>(x.n) - static_cast<double>(rows.size());
    kept.cross.noalias() -= sum_x * sum_y.transpose() / remaining;
    const auto factorise = [remaining](Eigen::MatrixXd& gram, const Eigen::VectorXd& sum) {
        gram.selfadjointView<Eigen::Lower>().rankUpdate(sum, -1 / remaining);
        const Eigen::LLT<Eigen::MatrixXd> cholesky(gram);
        // A direction of which less remains is known to fewer than eight digits: the rest was subtracted from 1.
        const bool sound = cholesky.info() == Eigen::Success && cholesky.matrixLLT().diagonal().minCoeff() > 1e-4;
        gram = sound ? Eigen::MatrixXd(cholesky.matrixL()) : Eigen::MatrixXd();
    };
    factorise(kept.factor_x, sum_x);
    factorise(kept.factor_y, sum_y);
    return kept;
}

}  // namespace

bool keeps_basis(Index n, Index p) { return n <= std::max(kKeptRows, kKeptPerFeature * p); }

CanonicalBlock::CanonicalBlock(const Features& features, const ProbeLayout& layout, const CanonicalRecipe& recipe,
                               const SafePoint& safe_point) {
    check_features(features, layout, safe_point);
    content = features_id(features, safe_point);
    n = features.rows();
    if (n < 3) throw NumericError("n = " + std::to_string(n) + " rows: canonical correlations need at least 3");
    rows = BlockRows(features, safe_point);
    warn_of_dominant_row(row_squares(rows, safe_point));
    PrincipalDirections directions = principal_directions(rows, safe_point);
    const double total = directions.s.squaredNorm();
    if (!(total > 0)) {
        throw NumericError("all n = " + std::to_string(n) + " rows are equal (constant features): similarity is undefined");
    }
    const double tolerance = std::min(static_cast<double>(std::max(n, features.cols())) * std::numeric_limits<float>::epsilon(), kLargestTolerance);
    double held = 0;
    while (k < directions.s.size() && directions.s(k) > tolerance * directions.s(0)) {
        held += directions.s(k) * directions.s(k);
        ++k;
        if (recipe.variance < 1 && held >= recipe.variance * total) break;
    }
    loadings = directions.loadings.topRows(k);
    squares = directions.s.head(k).cwiseAbs2();

    if (directions.basis.size() > 0) {
        rows = BlockRows(RowMajorMatrix(directions.basis.leftCols(k)));
        kept = true;
    } else if (recipe.keep_basis.value_or(keeps_basis(n, features.cols()))) {
        RowMajorMatrix basis(n, k);
        RowMajorMatrix memory;
        for (Index first = 0; first < n; first += kBandRows) {
            if (safe_point) safe_point();
            const Index count = std::min(kBandRows, n - first);
            basis.middleRows(first, count) = basis_rows(consecutive(first, count), memory);
        }
        rows = BlockRows(std::move(basis));
        kept = true;
    }
    if (recipe.windows) {
        windows = window_sums_of_rows(layout, k, [&](Index first, Index count) {
            if (safe_point) safe_point();
            RowMajorMatrix memory;
            return RowMajorMatrix(basis_rows(consecutive(first, count), memory));
        });
    }
}

RowBand CanonicalBlock::basis_rows(std::span<const Index> numbers, RowMajorMatrix& memory) const {
    if (kept) return rows.at(numbers, memory);
    RowMajorMatrix centred;
    memory.noalias() = rows.at(numbers, centred) * loadings.transpose();
    memory *= squares.cwiseInverse().asDiagonal();
    return {memory.data(), memory.rows(), k};
}

std::size_t CanonicalBlock::bytes() const {
    return rows.bytes() + static_cast<std::size_t>(loadings.size() + squares.size() + 2 * windows.within.size()) * sizeof(double);
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
    const CanonicalRecipe recipe{setting.at("variance").get<double>(), false, {}};
    return std::make_shared<const CanonicalBlock>(features, layout, recipe, safe_point);
}

ComparisonResult compare_canonical(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                   const ComparisonOptions& options, const EntryMask& wanted, const CanonicalValue& value) {
    const auto figures = [&](const CanonicalBlock& x, const CanonicalBlock& y, const PairContext& context) {
        EntryFigures entry;
        entry.null_mean = kNan;
        const auto together = std::to_string(x.k) + " and " + std::to_string(y.k) + " kept dimensions";
        if (x.n <= x.k + y.k) {
            entry.value = kNan;
            entry.message = together + " against n = " + std::to_string(x.n) +
                            " rows: correlations are 1 by chance unless n exceeds both together; raise similarity.windows or "
                            "lower the metric's variance";
            return entry;
        }
        const auto loadings = [&x] { return x.loadings; };
        const std::vector<Index> rows = consecutive(0, x.n);
        const Eigen::MatrixXd cross = basis_product(x, rows, y, rows, context.safe_point);
        entry.value = value(cross, loadings);
        for (const auto& permutation : context.permutations) {
            context.safe_point();
            const std::vector<Index> permuted = permuted_rows(context.layout, permutation);
            entry.permuted.push_back(value(basis_product(x, rows, y, permuted, context.safe_point), loadings));
        }
        entry.null_mean = mean_over_permutations(x.windows, y.windows, context.layout) / static_cast<double>(std::min(x.k, y.k));
        for (int g = 0; context.deletions && g < context.order.groups(); ++g) {
            context.safe_point();
            const auto without = context.rows_of(g);
            KeptProducts kept;
            if (x.n - static_cast<Index>(without.size()) > x.k + y.k) kept = products_without(x, y, cross, without, context.safe_point);
            if (kept.factor_x.size() == 0 || kept.factor_y.size() == 0) {
                entry.deleted.push_back(kNan);
                entry.message = together + ": too many for the rows that remain without a document group: no interval";
                continue;
            }
            kept.factor_x.triangularView<Eigen::Lower>().solveInPlace(kept.cross);
            Eigen::MatrixXd transposed = kept.cross.transpose();
            kept.factor_y.triangularView<Eigen::Lower>().solveInPlace(transposed);
            kept.cross = transposed.transpose();
            entry.deleted.push_back(value(kept.cross, [&]() -> Eigen::MatrixXd { return kept.factor_x.transpose() * x.loadings; }));
        }
        return entry;
    };
    return compare_pairwise<CanonicalBlock>(a, b, layout, options, wanted, figures);
}

}  // namespace cmsweep
