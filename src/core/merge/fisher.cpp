#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <string>

#include "blocks.hpp"
#include "cmsweep/base/error.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "reductions.hpp"

namespace cmsweep {
namespace {

/// Factor that brings a member's Fisher values to unit L2 norm over all merged tensors.
double unit_scale(const TensorValues& fisher, std::size_t member) {
    double sum = 0;
    for (const auto& values : fisher)
        sum += sum_of(values.size(), [&](std::size_t e) { return double{values[e]} * double{values[e]}; });
    if (!std::isfinite(sum) || sum == 0)
        throw NumericError("fisher: the Fisher information of member " + std::to_string(member) + " is " +
                           (sum == 0 ? "zero everywhere" : "not finite") +
                           "; its text may be too short or its loss not finite");
    return 1.0 / std::sqrt(sum);
}

void fisher(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double floor = input.setting.at("floor");
    std::vector<std::size_t> kept;
    for (std::size_t i = 0; i < input.weights.size(); ++i)
        if (input.weights[i] != 0) kept.push_back(i);
    std::vector<double> scale;
    for (const auto member : kept) scale.push_back(unit_scale(input.statistics[member], member));

    for (std::size_t tensor = 0; tensor < out.size(); ++tensor) {
        input.safe_point();
        if (kept.size() == 1) {
            std::ranges::copy(input.members[kept[0]][tensor], out[tensor].begin());
            continue;
        }
        for_blocks(out[tensor].size(), [&](std::size_t start, std::size_t count) {
            std::array<double, kBlock> sum{}, total{};
            for (std::size_t k = 0; k < kept.size(); ++k) {
                const float* values = input.members[kept[k]][tensor].data() + start;
                const float* information = input.statistics[kept[k]][tensor].data() + start;
                for (std::size_t e = 0; e < count; ++e) {
                    const double weight = input.weights[kept[k]] * std::max(floor, scale[k] * double{information[e]});
                    sum[e] += weight * double{values[e]};
                    total[e] += weight;
                }
            }
            for (std::size_t e = 0; e < count; ++e) out[tensor][start + e] = static_cast<float>(sum[e] / total[e]);
        });
    }
}

}  // namespace

MethodInfo fisher_method() {
    MethodInfo method;
    method.name = "fisher";
    method.family = Family::parameter;
    method.parameters = {
        parameter::alpha(),
        parameter::weights(),
        parameter::choice("labels", {"data", "sampled"}, "data",
                          "gradient of the text's own tokens, or of tokens drawn from the member's prediction"),
        parameter::integer("windows", 1, 1 << 20, 256, "windows of each member's own training text"),
        parameter::real_above("floor", 0, 1, 1e-6, "least Fisher value, at unit norm per model"),
        parameter::choice("train_on", {"specialists"}, "specialists", "each member's own training text"),
    };
    method.needs_text = true;
    method.draws = true;
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary =
        "The mean of the members' parameters weighted by their diagonal Fisher information on their own text.";
    method.source = "Matena and Raffel 2022 (arXiv:2111.09832), eq. 4";
    method.merge = fisher;
    return method;
}

}  // namespace cmsweep
