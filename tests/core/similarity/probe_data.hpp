#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "cmsweep/base/random.hpp"
#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

/// 24 bits of splitmix64(1000003 seed + k), as a multiple of 2^-24 in [-0.5, 0.5): the same number in any language.
inline float golden_number(std::uint64_t seed, std::uint64_t k) {
    std::uint64_t z = 1000003 * seed + k + 0x9E3779B97F4A7C15ULL;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    z ^= z >> 31;
    return static_cast<float>(z >> 40) / 16777216.0F - 0.5F;
}

/// X(i, j) = golden_number(seed, i p + j). The golden values of the tests come from tests/core/similarity/golden.py,
/// which makes the same matrices.
inline FeatureMatrix golden_features(std::uint64_t seed, Eigen::Index n, Eigen::Index p) {
    FeatureMatrix x(n, p);
    for (Eigen::Index i = 0; i < n * p; ++i) x.data()[i] = golden_number(seed, static_cast<std::uint64_t>(i));
    return x;
}

/// Y(i, j) = golden_number(seed, i p + j) + X(i, j mod columns of X).
inline FeatureMatrix golden_related(const FeatureMatrix& x, std::uint64_t seed, Eigen::Index p) {
    FeatureMatrix y = golden_features(seed, x.rows(), p);
    for (Eigen::Index i = 0; i < y.rows(); ++i) {
        for (Eigen::Index j = 0; j < p; ++j) y(i, j) += x(i, j % x.cols());
    }
    return y;
}

inline FeatureMatrix gaussian(Stream& stream, Eigen::Index n, Eigen::Index p) {
    FeatureMatrix x(n, p);
    for (Eigen::Index i = 0; i < n * p; ++i) x.data()[i] = static_cast<float>(stream.normal());
    return x;
}

/// `windows` windows, the groups dealt in turn (so that their rows are not consecutive); 0 groups: none given.
inline ProbeLayout layout_of(std::int64_t windows, std::int64_t rows_per_window = 1, int groups = 0,
                             const std::string& name = "probe") {
    ProbeLayout layout;
    layout.id = hash_text(name);
    layout.windows = windows;
    layout.rows_per_window = rows_per_window;
    for (std::int64_t w = 0; groups > 0 && w < windows; ++w) layout.group.push_back(static_cast<std::int32_t>(w % groups));
    return layout;
}

inline nlohmann::json default_setting(const MetricInfo& metric, const nlohmann::json& given = nlohmann::json::object()) {
    return complete_setting(metric.parameters, given);
}

inline PreparedBlocks prepared(const MetricInfo& metric, const std::vector<FeatureMatrix>& features,
                               const ProbeLayout& layout, const nlohmann::json& given = nlohmann::json::object()) {
    PreparedBlocks blocks;
    for (const auto& block : features) blocks.push_back(metric.prepare(block, layout, default_setting(metric, given), {}));
    return blocks;
}

/// Block i with block i only; on and above the diagonal.
inline EntryMask same_blocks(Eigen::Index n) { return EntryMask::NullaryExpr(n, n, [](auto i, auto j) { return i == j; }); }
inline EntryMask upper_blocks(Eigen::Index n) { return EntryMask::NullaryExpr(n, n, [](auto i, auto j) { return i <= j; }); }

/// One comparison, 1 x 1.
inline ComparisonResult compare_two(const std::string& name, const FeatureMatrix& x, const FeatureMatrix& y,
                                    const ProbeLayout& layout, const ComparisonOptions& options = {0, false},
                                    const nlohmann::json& given = nlohmann::json::object()) {
    const MetricInfo& metric = *find_metric(name);
    return metric.compare(prepared(metric, {x}, layout, given), prepared(metric, {y}, layout, given), layout,
                          default_setting(metric, given), options, {});
}

inline double value_of(const std::string& name, const FeatureMatrix& x, const FeatureMatrix& y,
                       const nlohmann::json& given = nlohmann::json::object()) {
    return compare_two(name, x, y, layout_of(x.rows()), {0, false}, given).value(0, 0);
}

/// A random orthogonal p x p matrix (QR of Gaussian numbers), in float64.
Eigen::MatrixXd orthogonal(Stream& stream, Eigen::Index p);

}  // namespace cmsweep
