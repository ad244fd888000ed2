#include <bit>
#include <cstring>
#include <span>

#include <ATen/ATen.h>

#include "builders.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/core/merge/weights.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

/// A merged network that shares the host's stream up to the first tensor in which it differs from the host.
class MergedPredictor final : public NetworkPredictor {
public:
    MergedPredictor(std::shared_ptr<const Parameters> merged, std::shared_ptr<const Parameters> host, std::int64_t trained,
                    std::int64_t target_tokens)
        : NetworkPredictor(merged), merged_(std::move(merged)), host_(std::move(host)), shared_blocks_(merged_->geometry().blocks),
          trained_(trained), target_tokens_(target_tokens) {
        for (const auto& [name, tensor] : merged_->tensors()) {
            if (tensor.is_same((*host_)[name])) continue;
            if (name == "wte.weight" || name == "wpe.weight") shares_embedding_ = false;
            if (const auto block = block_of(name); block >= 0) shared_blocks_ = std::min(shared_blocks_, block);
        }
    }

    TokenScores score(Batch& batch) const override {
        const auto start = shares_embedding_ ? shared_blocks_ : 0;
        auto stream = shares_embedding_ ? batch.stream_before(*host_, start) : embed(*merged_, batch.ids());
        stream = run_blocks(*merged_, std::move(stream), start, merged_->geometry().blocks);
        return score_stream(*merged_, stream, batch.targets());
    }

    Cost cost(std::int64_t context) const override {
        auto cost = NetworkPredictor::cost(context);
        cost.trained = trained_;
        cost.target_tokens = target_tokens_;
        return cost;
    }

private:
    std::shared_ptr<const Parameters> merged_, host_;
    bool shares_embedding_ = true;
    std::int64_t shared_blocks_;  ///< leading blocks that are the host's
    std::int64_t trained_, target_tokens_;
};

std::span<const float> floats(const torch::Tensor& tensor) {
    return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

/// Contiguous float32 on the CPU; the tensor itself where it already is that.
torch::Tensor on_cpu(const torch::Tensor& tensor) {
    return tensor.detach().to(at::kCPU, at::kFloat).contiguous();
}

/// Bits, not values: NaN equals itself, and a checkpoint that was loaded twice equals itself though its handles differ.
bool same_bits(const torch::Tensor& a, const torch::Tensor& b) {
    if (a.is_same(b) || a.data_ptr() == b.data_ptr()) return true;
    const auto x = on_cpu(a), y = on_cpu(b);
    return x.sizes() == y.sizes() && std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

/// Without a branch for each value, so that the processor looks at several at once.
bool all_finite(std::span<const float> values) {
    constexpr std::uint32_t kExponent = 0x7f800000;  // all ones: infinite, or not a number
    std::uint32_t found = 0;
    for (const float value : values) found |= static_cast<std::uint32_t>((std::bit_cast<std::uint32_t>(value) & kExponent) == kExponent);
    return found == 0;
}

}  // namespace

/// Calls the method on the tensors of the chosen blocks (whole model: on all of them) in which some member differs from
/// the base. Where none does, task vectors are 0 and the merged tensor is the base's, by handle, whatever the method.
/// Throws NumericError where a member with a weight is not finite.
Combination merge_parameters(const CombinationInput& input) {
    const auto& base = *input.base;
    const auto& host = *input.host;
    auto merged = std::make_shared<Parameters>(host);
    ParameterMergeInput merge;
    merge.weights = member_weights(input.setting, input.members.size());
    merge.setting = input.setting;
    merge.seed = input.seed;
    merge.member_keys = input.member_keys;
    merge.heads = base.geometry().heads;
    if (input.safe_point) merge.safe_point = input.safe_point;
    merge.members.resize(input.members.size());
    std::vector<torch::Tensor> held, results;
    const auto values = [&held](const torch::Tensor& tensor) {
        held.push_back(on_cpu(tensor));
        return floats(held.back());
    };

    for (const auto& spec : tensor_specs(base.geometry())) {
        const auto block = block_of(spec.name);
        const bool chosen = input.blocks.whole_model || (block >= input.blocks.first && block <= input.blocks.last);
        if (!chosen) continue;
        bool changed = false;
        for (const auto& member : input.members) changed = changed || !same_bits((*member)[spec.name], base[spec.name]);
        if (!changed && !input.method->sees_unchanged) {
            // The host's handle where it is as good, so that its stream can be shared.
            if (!same_bits(host[spec.name], base[spec.name])) merged->set(spec.name, base[spec.name]);
            continue;
        }
        const bool conv1d = block >= 0 && spec.shape.size() == 2;
        merge.tensors.push_back({spec.name, spec.shape, conv1d});
        merge.base.push_back(values(base[spec.name]));
        for (std::size_t i = 0; i < input.members.size(); ++i) {
            merge.members[i].push_back(values((*input.members[i])[spec.name]));
            // Many a method would not let it show: it trims, drops or outvotes what it cannot compare.
            if (merge.weights[i] != 0 && !all_finite(merge.members[i].back())) {
                throw NumericError(input.method->name + ": " + spec.name + " of member " + std::to_string(i + 1) + " of " +
                                   std::to_string(input.members.size()) + " holds values that are not finite");
            }
        }
        results.push_back(at::empty(spec.shape, at::kFloat));
    }

    Combination combination;
    std::int64_t trained = 0, target_tokens_seen = 0;
    if (!results.empty()) {
        if (const auto learn = statistics_of(input.method->name)) {
            for (const auto& of_member : learn({input, merge.tensors, combination.curve, trained, target_tokens_seen})) {
                auto& known = merge.statistics.emplace_back();
                for (const auto& tensor : of_member) known.push_back(values(tensor));
            }
        }
        std::vector<std::span<float>> out;
        for (const auto& result : results) out.emplace_back(result.data_ptr<float>(), static_cast<std::size_t>(result.numel()));
        input.method->merge(merge, out, combination.notes);
        for (std::size_t i = 0; i < results.size(); ++i) {
            const auto& name = merge.tensors[i].name;
            if (input.method->sees_unchanged && same_bits(results[i], host[name])) continue;  // the host's handle is as good
            merged->set(name, results[i].to(host.device()));
        }
    }
    combination.merged = merged;
    combination.predictor = std::make_shared<MergedPredictor>(std::move(merged), input.host, trained, target_tokens_seen);
    return combination;
}

}  // namespace cmsweep
