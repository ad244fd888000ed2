#include <ATen/ATen.h>

#include "builders.hpp"
#include "cmsweep/model/cost.hpp"
#include "host_stream.hpp"
#include "scalar_count.hpp"
#include "weighted_members.hpp"

namespace cmsweep {
namespace {

/// Sum of weight x output. A single member's output comes back untouched, so that parents are exact; sums are float32 or
/// wider, whatever the precision of the parts.
torch::Tensor mix(const std::vector<torch::Tensor>& outputs, const std::vector<WeightedMember>& members) {
    if (outputs.size() == 1) return outputs.front();
    const auto type = at::promote_types(outputs.front().scalar_type(), at::kFloat);
    auto sum = outputs.front().to(type) * members.front().weight;
    for (std::size_t i = 1; i < outputs.size(); ++i) sum = at::add(sum, outputs[i].to(type), members[i].weight);
    return sum;
}

class InterpolatedStack final : public HostStreamPredictor {
public:
    InterpolatedStack(std::shared_ptr<const Parameters> host, BlockRange blocks, std::vector<WeightedMember> members, bool whole_blocks)
        : HostStreamPredictor(std::move(host), blocks), members_(std::move(members)), whole_blocks_(whole_blocks) {}

    Cost cost(std::int64_t context) const override {
        const auto& geometry = host().geometry();
        const auto hosts = [this](std::string_view name) { return is_hosts(name, !whole_blocks_); };
        const auto members = [this](std::string_view name) { return !is_hosts(name, !whole_blocks_); };
        ScalarCount stored, active;
        stored.add_stored(host(), hosts);
        active.add_active(host(), hosts);
        for (const auto& member : members_) {
            stored.add_stored(*member.parameters, members);
            active.add_active(*member.parameters, members);
        }
        const auto runs = static_cast<double>(members_.size()) * static_cast<double>(blocks().last - blocks().first + 1);
        Cost cost;
        cost.stored = stored.total();
        cost.active = active.total();
        cost.flops_per_token = host_flops(context, !whole_blocks_) + runs * (whole_blocks_ ? block_flops(geometry, context) : mlp_flops(geometry));
        return cost;
    }

private:
    ForwardHooks chosen_blocks(const ForwardHooks& shown) const override {
        ForwardHooks hooks = shown;
        if (!whole_blocks_) {
            hooks.mlp = [this](std::int64_t block, const torch::Tensor& input) {
                std::vector<torch::Tensor> outputs;
                for (const auto& member : members_) outputs.push_back(run_mlp(*member.parameters, block, input));
                return mix(outputs, members_);
            };
            return hooks;
        }
        hooks.block = [this, show_mlp = shown.mlp_output](std::int64_t block, const torch::Tensor& stream) {
            std::vector<torch::Tensor> outputs, mlp_outputs;
            ForwardHooks inner;
            if (show_mlp) inner.mlp_output = [&](std::int64_t, const torch::Tensor& output) { mlp_outputs.push_back(output); };
            for (const auto& member : members_) outputs.push_back(run_block(*member.parameters, block, stream, inner));
            if (show_mlp) show_mlp(block, mix(mlp_outputs, members_));
            return mix(outputs, members_);
        };
        return hooks;
    }

    std::vector<WeightedMember> members_;
    bool whole_blocks_;
};

}  // namespace

Combination interpolate_features(const CombinationInput& input) {
    Combination combination;
    combination.predictor = std::make_shared<InterpolatedStack>(input.host, input.blocks, weighted_members(input),
                                                                input.setting.at("site").get<std::string>() == "block");
    return combination;
}

}  // namespace cmsweep
