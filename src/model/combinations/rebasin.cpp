#include <algorithm>
#include <map>
#include <set>

#include <ATen/ATen.h>

#include "cmsweep/core/merge/weights.hpp"
#include "cmsweep/model/device.hpp"
#include "learned.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

/// Activations of the units that one network's forward pass moves through, by the tensor whose place they are kept at.
std::map<std::string, torch::Tensor> unit_activations(const Parameters& network, const torch::Tensor& ids, const std::set<std::string>& wanted) {
    std::map<std::string, torch::Tensor> found;
    ForwardHooks hooks;
    hooks.linear_input = [&](const std::string& name, const torch::Tensor& rows) {
        if (!wanted.contains(name)) return;
        if (name.ends_with("attn.c_attn.weight")) {
            const auto bias = name.substr(0, name.size() - 6) + "bias";
            const auto outputs = at::addmm(network[bias], rows, network[name]);
            const auto width = network.geometry().width;
            found[name] = outputs.narrow(1, 0, 2 * width).to(at::kFloat);  // queries and keys
        } else {
            found[name] = rows.to(at::kFloat);  // mixed values, or neurons after the activation function
        }
    };
    run_blocks(network, embed(network, ids), 0, network.geometry().blocks, hooks);
    return found;
}

bool holds_products(const std::string& name) {
    return name.ends_with("attn.c_attn.weight") || name.ends_with("attn.c_proj.weight") || name.ends_with("mlp.c_proj.weight");
}

}  // namespace

Statistics unit_products(const StatisticsInput& input) {
    const auto& combination = input.combination;
    if (combination.setting.at("matching").get<std::string>() == "weights") return {};
    const std::int64_t windows = combination.setting.at("windows");
    const auto context = window_context(combination);
    const auto weights = member_weights(combination.setting, combination.members.size());
    const auto first = static_cast<std::size_t>(std::find_if(weights.begin(), weights.end(), [](double w) { return w != 0; }) - weights.begin());
    const auto device = combination.members[first]->device();
    std::set<std::string> wanted;
    for (const auto& tensor : input.tensors)
        if (holds_products(tensor.name)) wanted.insert(tensor.name);

    // [member][tensor]: float64 sums over tokens of the first's activations (rows) times the member's (columns).
    std::vector<std::map<std::string, torch::Tensor>> sums(combination.members.size());
    const auto at_once = std::max<std::int64_t>(1, kEvaluationTokens / context);
    WindowSampler sampler(training_sources(combination), context, windows, combination.seed, "rebasin_batches", "");
    const auto all = sampler.next(at::kCPU);
    input.target_tokens = sampler.windows_from(combination.target_text) * context;
    const at::NoGradGuard no_grad;
    for (std::int64_t begin = 0; begin < windows; begin += at_once) {
        if (combination.safe_point) combination.safe_point();
        const auto ids = all.narrow(0, begin, std::min(at_once, windows - begin)).narrow(1, 0, context).to(device);
        const PrecisionScope scope(combination.precision, device);
        const auto reference = unit_activations(*combination.members[first], ids, wanted);
        for (std::size_t i = 0; i < combination.members.size(); ++i) {
            if (i == first || weights[i] == 0) continue;
            const auto own = unit_activations(*combination.members[i], ids, wanted);
            const PrecisionScope full("float32", device);  // activations may be rounded, their products not
            for (const auto& [name, a] : reference) {
                // Queries and keys are two matrices of products, one after the other.
                const auto parts = name.ends_with("attn.c_attn.weight") ? 2 : 1;
                const auto size = a.size(1) / parts;
                auto& sum = sums[i].try_emplace(name, at::zeros({parts, size, size}, a.options().dtype(at::kDouble))).first->second;
                for (std::int64_t part = 0; part < parts; ++part)
                    sum[part].add_(at::mm(a.narrow(1, part * size, size).t(), own.at(name).narrow(1, part * size, size)));
            }
        }
    }
    Statistics products;
    for (std::size_t i = 0; i < combination.members.size(); ++i) {
        auto& of_member = products.emplace_back();
        for (const auto& tensor : input.tensors) {
            const auto sum = sums[i].find(tensor.name);
            of_member.push_back(sum == sums[i].end() ? at::empty({0}, at::kFloat) : sum->second.to(at::kCPU, at::kFloat).contiguous());
        }
    }
    return products;
}

}  // namespace cmsweep
