#include <algorithm>

#include <Eigen/SVD>

#include "canonical.hpp"

namespace cmsweep {
namespace {

/// With canonical directions a_i of x (left singular vectors of the cross-correlation), h_i = basis a_i and its weight
/// sum_j |<h_i, x_j>| over x's own centred features x_j: row i of |A^T loadings|. Always the first argument's variates
/// with the first argument's features, whichever is smaller.
double weighted_mean(const Eigen::MatrixXd& cross, const Loadings& loadings_of_x) {
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(cross, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Eigen::MatrixXd loadings = loadings_of_x();
    Eigen::MatrixXd projections(svd.matrixU().cols(), loadings.cols());
    projections.noalias() = svd.matrixU().transpose() * loadings;
    const Eigen::VectorXd weights = projections.cwiseAbs().rowwise().sum();
    return std::min(1.0, weights.dot(svd.singularValues()) / weights.sum());
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_canonical(a, b, layout, options, wanted, weighted_mean);
}

}  // namespace

MetricInfo pwcca() {
    MetricInfo info;
    info.name = "pwcca";
    info.version = 2;  // 1 lost directions with the number of rows
    info.parameters = {variance_parameter(0.99)};
    info.symmetric = false;
    info.summary = "canonical correlations weighted by how much of the first argument they explain; not symmetric";
    info.source = "Morcos, Raghu, Bengio 2018, Insights on representational similarity with canonical correlation, eq. 5";
    info.prepare = prepare_canonical;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
