#include "canonical.hpp"

namespace cmsweep {
namespace {

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json& setting, const SafePoint& safe_point) {
    const CanonicalRecipe recipe{setting.at("variance").get<double>(), true, {}};
    return std::make_shared<const CanonicalBlock>(features, layout, recipe, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    // The sum of squared singular values needs no decomposition.
    const auto mean_square = [](const Eigen::MatrixXd& cross, const Loadings&) {
        return std::min(cross.squaredNorm() / static_cast<double>(std::min(cross.rows(), cross.cols())), 1.0);  // NaN stays NaN
    };
    return compare_canonical(a, b, layout, options, wanted, mean_square);
}

}  // namespace

/// Mean squared canonical correlation, ||Q_Y^T Q_X||_F^2 / min(k_x, k_y). Its null mean is exact: the squared
/// correlations sum to the inner product of two projections.
MetricInfo cca() {
    MetricInfo info;
    info.name = "cca";
    info.version = 2;  // 1 lost directions with the number of rows
    info.parameters = {variance_parameter(1)};
    info.summary = "mean squared canonical correlation; unchanged by invertible linear maps";
    info.source = "Kornblith et al. 2019, eq. 6 (R^2_CCA)";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
