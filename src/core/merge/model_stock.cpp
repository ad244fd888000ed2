#include <cmath>

#include "cmsweep/base/error.hpp"
#include "geometry.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

/// Which row of the untransposed weight an element belongs to; vectors are one row.
struct Rows {
    std::size_t count = 1;
    std::size_t divisor = 1, modulus = 1;
    std::size_t of(std::size_t element) const { return element / divisor % modulus; }
};

Rows rows_of(const MergeTensor& tensor, bool filter_wise) {
    if (!filter_wise || tensor.shape.size() != 2) return {1, 1, 1};
    const auto first = static_cast<std::size_t>(tensor.shape[0]), last = static_cast<std::size_t>(tensor.shape[1]);
    return tensor.transposed ? Rows{last, 1, last} : Rows{first, last, first};
}

/// Inner products of two members' task vectors, one a row.
std::vector<double> products(const ParameterMergeInput& input, std::size_t tensor, std::size_t i, std::size_t j,
                             const Rows& rows) {
    if (rows.count == 1) return {tau_product(input, tensor, i, j)};
    const auto term = tau_terms(input, tensor, i, j);
    std::vector<double> sums(rows.count);
    for (std::size_t e = 0; e < input.base[tensor].size(); ++e) sums[rows.of(e)] += term(e);
    return sums;
}

/// The share t of the members' average: N cos / (1 + (N - 1) cos), one a row; 0 where a task vector is 0.
std::vector<double> ratios(const ParameterMergeInput& input, std::size_t tensor, const Rows& rows) {
    const std::size_t n = input.members.size();
    std::vector<std::vector<double>> squares;
    for (std::size_t i = 0; i < n; ++i) squares.push_back(products(input, tensor, i, i, rows));
    std::vector<double> cosine(rows.count);
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = i + 1; j < n; ++j) {
            const auto dots = products(input, tensor, i, j, rows);
            for (std::size_t row = 0; row < rows.count; ++row) {
                const double norms = std::sqrt(squares[i][row]) * std::sqrt(squares[j][row]);
                if (norms > 0) cosine[row] += std::clamp(dots[row] / norms, -1.0, 1.0);
            }
        }
    }
    const double pairs = static_cast<double>(n * (n - 1)) / 2;
    for (auto& value : cosine) {
        const double mean = value / pairs;
        const double divisor = 1 + static_cast<double>(n - 1) * mean;
        if (divisor < 1e-9) {
            throw NumericError("model_stock: in " + input.tensors[tensor].name +
                               " the members' task vectors point away from each other (mean cosine " +
                               std::to_string(mean) + "), where its ratio is not defined");
        }
        value = static_cast<double>(n) * mean / divisor;
    }
    return cosine;
}

void model_stock(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const bool filter_wise = input.setting.at("filter_wise");
    const double n = static_cast<double>(input.members.size());
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        const Rows rows = rows_of(input.tensors[tensor], filter_wise);
        const auto ratio = ratios(input, tensor, rows);
        for (std::size_t e = 0; e < out[tensor].size(); ++e) {
            const double base = static_cast<double>(input.base[tensor][e]);
            double tau = 0;
            for (const auto& member : input.members) tau += static_cast<double>(member[tensor][e]) - base;
            out[tensor][e] = static_cast<float>(base + ratio[rows.of(e)] * (tau / n));
        }
    }
}

}  // namespace

MethodInfo model_stock_method() {
    MethodInfo method;
    method.name = "model_stock";
    method.family = Family::parameter;
    method.parameters = {parameter::boolean("filter_wise", false,
                                            "one ratio a row of each weight (an output unit) instead of one a tensor")};
    method.least_members = 2;
    method.needs_base = true;
    method.identities = {"equal_members", "symmetric", "base"};
    method.summary =
        "Between the base and the members' average, the nearer to the average the more their task vectors agree in "
        "direction.";
    method.source =
        "Jang et al. 2024, Model Stock (arXiv:2403.19522), equation 6; mean of pairwise cosines for more than two, as "
        "in mergekit";
    method.merge = model_stock;
    return method;
}

}  // namespace cmsweep
