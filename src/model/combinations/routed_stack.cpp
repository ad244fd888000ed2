#include "routed_stack.hpp"

#include <algorithm>
#include <array>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/cost.hpp"
#include "learned.hpp"
#include "scalar_count.hpp"

namespace cmsweep {
namespace {

constexpr std::array kMlpTensors{"c_fc.weight", "c_fc.bias", "c_proj.weight", "c_proj.bias"};

const torch::Tensor& mlp_tensor(const Expert& expert, const char* tensor) {
    return (*expert.network)["h." + std::to_string(expert.block) + ".mlp." + tensor];
}

bool same_mlp(const Expert& a, const Expert& b) {
    return std::ranges::all_of(kMlpTensors, [&](const char* tensor) { return mlp_tensor(a, tensor).is_same(mlp_tensor(b, tensor)); });
}

torch::Tensor run(const Expert& expert, const torch::Tensor& input) {
    return run_mlp(*expert.network, expert.block, input);
}

/// Sum of weight x MLP(input) over all experts, in their order.
torch::Tensor mix_all(const std::vector<Expert>& experts, const torch::Tensor& input, const torch::Tensor& weights) {
    std::vector<torch::Tensor> outputs;
    torch::Tensor sum;
    for (std::size_t j = 0; j < experts.size(); ++j) {
        outputs.push_back(experts[j].same_as < j ? outputs[experts[j].same_as] : run(experts[j], input));
        const auto part = weights.narrow(-1, static_cast<std::int64_t>(j), 1) * outputs.back();
        sum = j == 0 ? part : sum + part;
    }
    return sum;
}

/// The same where most weights are 0: each expert runs on the tokens that kept it only.
torch::Tensor mix_kept(const std::vector<Expert>& experts, const torch::Tensor& input, const RoutingDecision& decision) {
    const auto width = input.size(-1), count = static_cast<std::int64_t>(experts.size());
    const auto rows = input.reshape({-1, width});
    const auto weights = decision.weights.reshape({-1, count});
    const auto kept = decision.kept.reshape({-1, count});
    auto sum = at::zeros(rows.sizes(), weights.options());
    for (std::int64_t j = 0; j < count; ++j) {
        const auto tokens = kept.select(1, j).nonzero().squeeze(1);
        if (tokens.numel() == 0) continue;
        const auto part = weights.select(1, j).index_select(0, tokens).unsqueeze(1) *
                          run(experts[static_cast<std::size_t>(j)], rows.index_select(0, tokens));
        // Every token occurs once, so that the sum's order is the experts' on any device.
        sum = sum.index_add(0, tokens, part.to(sum.scalar_type()));
    }
    return sum.view(input.sizes());
}

}  // namespace

std::vector<std::int64_t> expert_blocks(std::int64_t block, std::int64_t span, std::int64_t blocks) {
    std::vector<std::int64_t> found;
    for (std::int64_t offset = 0; offset < span; ++offset)
        found.push_back(block + offset < blocks ? block + offset : blocks - 1 - offset);
    return found;
}

RoutedStack::RoutedStack(const CombinationInput& input) : HostStreamPredictor(input.host, input.blocks) {
    const auto& setting = input.setting;
    const auto& geometry = host().geometry();
    const std::int64_t span = setting.at("span");
    if (span > geometry.blocks)
        throw InputError("route: span = " + std::to_string(span) + ": expected at most " + std::to_string(geometry.blocks) +
                         ", the number of blocks");
    auto networks = input.members;
    if (setting.at("include_base").get<bool>()) networks.push_back(input.base);
    const auto count = expert_count(setting, static_cast<std::int64_t>(input.members.size()));
    const auto& top_k = setting.at("top_k");
    keep_ = top_k.is_string() ? count : top_k.get<std::int64_t>();
    if (keep_ > count)
        throw InputError("route: top_k = " + std::to_string(keep_) + ": expected at most " + std::to_string(count) +
                         ", the number of experts, or \"all\"");
    renormalise_ = setting.at("renormalise");
    target_tokens_ = target_tokens(input);

    std::vector<std::string> expert_names;
    for (std::int64_t offset = 0; offset < span; ++offset)
        for (std::size_t i = 0; i < networks.size(); ++i)
            expert_names.push_back("offset " + std::to_string(offset) + (i < input.members.size() ? " member " + std::to_string(i) : " base"));
    for (auto block = blocks().first; block <= blocks().last; ++block) {
        std::vector<Expert> experts;
        for (const auto source : expert_blocks(block, span, geometry.blocks))
            for (const auto& network : networks) {
                experts.push_back({network, source, experts.size()});
                const auto first = std::ranges::find_if(experts, [&](const Expert& other) { return same_mlp(other, experts.back()); });
                experts.back().same_as = static_cast<std::size_t>(first - experts.begin());
            }
        experts_.push_back(std::move(experts));
        if (routers_.empty() || setting.at("scope").get<std::string>() == "per_layer")
            routers_.emplace_back("h." + std::to_string(block) + ".router", geometry.width, expert_names, setting, input.seed, host().device());
    }
}

ForwardHooks RoutedStack::routed(const ForwardHooks& shown, const Observer& observer) const {
    ForwardHooks hooks = shown;
    // The last decision made in this forward pass: with a single router, the first chosen block's.
    hooks.mlp = [this, observer, decision = std::make_shared<RoutingDecision>()](std::int64_t block, const torch::Tensor& input) {
        const auto place = static_cast<std::size_t>(block - blocks().first);
        if (place < routers_.size()) *decision = keep_top(routers_[place].probabilities(input), keep_, renormalise_);
        if (observer) observer(block, decision->weights);
        return decision->kept.defined() ? mix_kept(experts_[place], input, *decision) : mix_all(experts_[place], input, decision->weights);
    };
    return hooks;
}

torch::Tensor RoutedStack::stream(const torch::Tensor& ids) const {
    torch::Tensor prefix;
    {
        const at::NoGradGuard frozen;
        prefix = run_blocks(host(), embed(host(), ids), 0, blocks().first);
    }
    prefix = run_blocks(host(), std::move(prefix), blocks().first, blocks().last + 1, chosen_blocks({}));
    return run_blocks(host(), std::move(prefix), blocks().last + 1, host().geometry().blocks);
}

void RoutedStack::observe(Batch& batch, const Observer& observer) const {
    run_blocks(host(), batch.stream_before(host(), blocks().first), blocks().first, blocks().last + 1, routed({}, observer));
}

std::vector<torch::Tensor> RoutedStack::router_tensors() const {
    std::vector<torch::Tensor> tensors;
    for (const auto& router : routers_) tensors.insert(tensors.end(), router.tensors().begin(), router.tensors().end());
    return tensors;
}

Cost RoutedStack::cost(std::int64_t context) const {
    const auto& geometry = host().geometry();
    const auto hosts = [this](std::string_view name) { return is_hosts(name, true); };
    Cost cost;
    cost.target_tokens = target_tokens_;
    double router_flops = 0;
    for (const auto& router : routers_) {
        cost.trained += router.scalars();
        router_flops += router.flops();
    }
    ScalarCount stored, active;
    stored.add_stored(host(), hosts);
    active.add_active(host(), hosts);
    const auto active_outside = active.total();
    for (const auto& experts : experts_)
        for (const auto& expert : experts)
            for (const auto* tensor : kMlpTensors) {
                stored.add(mlp_tensor(expert, tensor));
                active.add(mlp_tensor(expert, tensor));
            }
    const auto runs = static_cast<std::int64_t>(experts_.size()) * keep_;
    cost.stored = stored.total() + cost.trained;
    // Which experts a token keeps is its own affair: as many as it keeps, but no more than there are.
    cost.active = std::min(active.total(), active_outside + runs * mlp_scalars(geometry)) + cost.trained;
    cost.flops_per_token = host_flops(context, true) + static_cast<double>(runs) * mlp_flops(geometry) + router_flops;
    return cost;
}

}  // namespace cmsweep
