#include <set>

#include <ATen/ATen.h>

#include "learned.hpp"
#include "statistics.hpp"

namespace cmsweep {

/// Trains coefficients lambda[i][g] of theta_0 + Sum_i lambda[i][g] tau_i, g being the tensor's block (embeddings and what
/// follows the last block have groups of their own) or the tensor itself.
Statistics learned_coefficients(const StatisticsInput& input) {
    const auto& combination = input.combination;
    const auto& setting = combination.setting;
    const auto members = static_cast<std::int64_t>(combination.members.size());
    const bool per_tensor = setting.at("per").get<std::string>() == "tensor";
    const bool entropy = setting.at("objective").get<std::string>() == "entropy";
    const auto& geometry = combination.base->geometry();

    std::vector<std::int64_t> group;  // of each tensor
    for (std::size_t t = 0; t < input.tensors.size(); ++t) {
        const auto& name = input.tensors[t].name;
        const bool embedding = name == "wte.weight" || name == "wpe.weight";
        const auto block = block_of(name);
        group.push_back(per_tensor ? static_cast<std::int64_t>(t) : block >= 0 ? block : geometry.blocks + (embedding ? 0 : 1));
    }
    const auto groups = per_tensor ? static_cast<std::int64_t>(input.tensors.size()) : geometry.blocks + 2;
    const auto coefficients =
        at::full({members, groups}, setting.at("init").get<double>(), at::TensorOptions(at::kFloat).device(combination.host->device()));

    // What is not merged is the host's, or with the whole model the base's, which no member moved.
    const auto& rest = combination.blocks.whole_model ? *combination.base : *combination.host;
    const auto merged = [&] {
        Parameters live = rest;
        for (std::size_t t = 0; t < input.tensors.size(); ++t) {
            const auto& base = (*combination.base)[input.tensors[t].name];
            auto value = base;
            for (std::int64_t i = 0; i < members; ++i) {
                const auto tau = (*combination.members[static_cast<std::size_t>(i)])[input.tensors[t].name] - base;
                value = value + coefficients[i][group[t]] * tau;
            }
            live.set(input.tensors[t].name, value);
        }
        return live;
    };
    input.curve = learn(
        combination, {coefficients}, "coefficient_batches",
        [&](const torch::Tensor& windows) {
            const auto length = windows.size(1) - 1;
            const auto logits = forward(merged(), windows.narrow(1, 0, length)).to(at::kFloat);
            const auto log_probabilities = at::log_softmax(logits.view({-1, logits.size(-1)}), -1);
            if (entropy) return -(log_probabilities * log_probabilities.exp()).sum(-1).mean();
            return -log_probabilities.gather(1, windows.narrow(1, 1, length).reshape({-1, 1})).mean();
        },
        0.0);  // decay would pull towards the base, which is not among the objectives

    input.target_tokens = target_tokens(combination);
    std::set<std::int64_t> used(group.begin(), group.end());
    input.trained = members * static_cast<std::int64_t>(used.size());
    const auto found = coefficients.detach().to(at::kCPU).contiguous();
    Statistics statistics;
    for (std::int64_t i = 0; i < members; ++i) {
        auto& of_member = statistics.emplace_back();
        for (const auto g : group) of_member.push_back(found[i][g].clone().view({1}));
    }
    return statistics;
}

}  // namespace cmsweep
