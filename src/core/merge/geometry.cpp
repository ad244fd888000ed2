#include "geometry.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "reductions.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kMostNorms = 8;

/// Six significant digits: notes are for reading and for regressions, and have little room.
double short_number(double value) {
    if (value == 0 || !std::isfinite(value)) return value;
    const double scale = std::pow(10.0, 5 - std::floor(std::log10(std::abs(value))));
    return std::round(value * scale) / scale;
}

}  // namespace

double tau_product(const ParameterMergeInput& input, std::size_t tensor, std::size_t i, std::size_t j) {
    return sum_of(input.base[tensor].size(), tau_terms(input, tensor, i, j));
}

nlohmann::json tau_geometry(const ParameterMergeInput& input) {
    const std::size_t n = input.members.size();
    std::vector<std::vector<double>> products(n, std::vector<double>(n));
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        for (std::size_t i = 0; i < n; ++i) {
            for (std::size_t j = i; j < n; ++j) products[i][j] += tau_product(input, tensor, i, j);
        }
    }
    nlohmann::json geometry = nlohmann::json::object();
    double cosines = 0;
    bool defined = n > 1;
    for (std::size_t i = 0; i < n; ++i) {
        if (n <= kMostNorms) geometry["tau_norm"].push_back(short_number(std::sqrt(products[i][i])));
        for (std::size_t j = i + 1; j < n; ++j) {
            const double norms = std::sqrt(products[i][i]) * std::sqrt(products[j][j]);
            defined = defined && norms > 0;
            if (norms > 0) cosines += std::clamp(products[i][j] / norms, -1.0, 1.0);
        }
    }
    if (defined) geometry["tau_cosine"] = short_number(cosines / (static_cast<double>(n * (n - 1)) / 2));
    return geometry;
}

}  // namespace cmsweep
