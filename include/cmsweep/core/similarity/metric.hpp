#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"
#include "cmsweep/core/setting.hpp"

namespace cmsweep {

/// Features of one block: n x p, row-major float32, one row per sample.
using FeatureMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// What the rows of every representation on one probe mean.
struct ProbeLayout {
    Id id;                          ///< of the probe's windows; keys the permutations
    std::int64_t windows = 0;
    std::int64_t rows_per_window = 1;     ///< 1 for "mean" and "last" pooling, the context for "token"; n = windows x rows_per_window
    std::vector<std::int32_t> group;      ///< per window: its jackknife group 0 … groups-1 (whole documents, at most 32 groups)
    std::int64_t rows() const { return windows * rows_per_window; }
};

/// A metric's own form of one block of one representation (a normalised Gram matrix, a whitened basis, …).
/// Made once per block, used in every comparison.
class PreparedBlock {
public:
    virtual ~PreparedBlock() = default;
    virtual std::size_t bytes() const = 0;  ///< memory held
};

/// Which of the costly parts are wanted.
struct ComparisonOptions {
    int permutations = 20;  ///< 0: no null_p95
    bool interval = true;   ///< delete-one-group jackknife
};

/// Block x block values between two representations; rows are A's blocks. Where a figure was not asked for or is not
/// defined for a metric it is NaN.
struct ComparisonResult {
    Eigen::MatrixXd value;
    Eigen::MatrixXd null_mean;  ///< exact where a formula exists, else the mean over the permutations
    Eigen::MatrixXd null_p95;   ///< 95 % quantile over the permutations
    Eigen::MatrixXd low;        ///< 95 % interval, jackknife
    Eigen::MatrixXd high;
    std::string message;        ///< empty, or why entries are NaN, or a warning (a row with extreme leverage)
};

using PreparedBlocks = std::vector<std::shared_ptr<const PreparedBlock>>;

/// One line of the registry.
struct MetricInfo {
    std::string name;
    int version = 1;
    std::vector<ParameterSpec> parameters;
    bool symmetric = true;
    std::string summary;
    std::string source;
    /// Throws NumericError where the metric is undefined for this input whatever it is compared with.
    std::shared_ptr<const PreparedBlock> (*prepare)(const FeatureMatrix& features, const ProbeLayout& layout,
                                                    const nlohmann::json& setting) = nullptr;
    /// Compares every block of A with every block of B (`same_only`: block i with block i only, the rest NaN).
    /// The bits of an entry depend on its two blocks, the layout and the setting only.
    ComparisonResult (*compare)(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                const nlohmann::json& setting, const ComparisonOptions& options, bool same_only) = nullptr;
};

/// Every metric, in the order `cmsweep metrics` prints. One line per metric, in src/core/similarity/registry.cpp.
std::span<const MetricInfo> similarity_metrics();
const MetricInfo* find_metric(std::string_view name);

}  // namespace cmsweep
