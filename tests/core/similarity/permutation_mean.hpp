#pragma once

#include <algorithm>
#include <numeric>

#include "core/similarity/rows.hpp"
#include "probe_data.hpp"

namespace cmsweep {

/// The metric's mean over all permutations of the windows of y, one by one.
inline double mean_over_every_permutation(const std::string& metric, const FeatureMatrix& x, const FeatureMatrix& y,
                                          const ProbeLayout& layout, const nlohmann::json& given = nlohmann::json::object()) {
    std::vector<std::int64_t> permutation(static_cast<std::size_t>(layout.windows));
    std::iota(permutation.begin(), permutation.end(), 0);
    double sum = 0;
    int count = 0;
    do {
        const auto rows = permuted_rows(layout, permutation);
        FeatureMatrix permuted(y.rows(), y.cols());
        for (Eigen::Index row = 0; row < y.rows(); ++row) permuted.row(row) = y.row(rows[static_cast<std::size_t>(row)]);
        sum += compare_two(metric, x, permuted, layout, {0, false}, given).value(0, 0);
        ++count;
    } while (std::next_permutation(permutation.begin(), permutation.end()));
    return sum / count;
}

/// For metrics with an exact null mean: it must be that mean, for one and for three rows a window.
inline double null_mean_error(const std::string& metric, const nlohmann::json& given = nlohmann::json::object()) {
    double error = 0;
    for (const int rows_per_window : {1, 3}) {
        const ProbeLayout layout = layout_of(6, rows_per_window);
        const FeatureMatrix x = golden_features(10, layout.rows(), 2);
        const FeatureMatrix y = golden_related(x, 11, 3);
        const double exact = compare_two(metric, x, y, layout, {0, false}, given).null_mean(0, 0);
        error = std::max(error, std::abs(exact - mean_over_every_permutation(metric, x, y, layout, given)));
    }
    return error;
}

}  // namespace cmsweep
