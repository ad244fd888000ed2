#include "canonical.hpp"

namespace cmsweep {
namespace {

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    const auto mean = [](const Eigen::MatrixXd& cross, const Loadings&) { return correlations(cross).mean(); };
    return compare_canonical(a, b, layout, options, wanted, mean);
}

}  // namespace

/// Mean canonical correlation of the directions that hold 99 % of the variance, over the smaller of the two dimensions.
MetricInfo svcca() {
    MetricInfo info;
    info.name = "svcca";
    info.version = 2;  // 1 lost directions with the number of rows
    info.parameters = {variance_parameter(0.99)};
    info.summary = "mean canonical correlation of the principal directions that hold most of the variance";
    info.source = "Raghu et al. 2017, SVCCA: Singular Vector Canonical Correlation Analysis";
    info.prepare = prepare_canonical;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
