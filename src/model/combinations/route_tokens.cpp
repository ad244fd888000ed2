#include <ATen/ATen.h>

#include "builders.hpp"
#include "cmsweep/model/cost.hpp"
#include "learned.hpp"
#include "mixture.hpp"
#include "router.hpp"
#include "scalar_count.hpp"

namespace cmsweep {
namespace {

/// A gate on the base's final state that weighs whole members' predictions.
class TokenRouter final : public Predictor {
public:
    explicit TokenRouter(const CombinationInput& input)
        : base_(input.base),
          members_(input.members),
          gate_("token_router", base_->geometry().width, names(members_.size()), input.setting, input.seed, base_->device()),
          target_tokens_(target_tokens(input)) {}

    TokenScores score(Batch& batch) const override {
        const auto gates = log_gates(batch).reshape({-1, static_cast<std::int64_t>(members_.size())});
        return score_mixture(members_, final_streams(members_, batch), batch.targets(),
                             [&](std::int64_t first, const std::vector<torch::Tensor>& logits) {
                                 const auto rows = gates.narrow(0, first, logits.front().size(0));
                                 std::vector<torch::Tensor> columns;
                                 for (std::int64_t i = 0; i < rows.size(1); ++i) columns.push_back(rows.narrow(1, i, 1));
                                 return mix_probabilities(logits, columns);
                             });
    }

    /// -log Sum g_i p_i, mean over tokens; differentiable in the gate's weights.
    torch::Tensor loss(const torch::Tensor& windows) const {
        Batch batch(windows);
        std::vector<torch::Tensor> members;
        for (const auto& member : members_) {
            const at::NoGradGuard frozen;
            members.push_back(-NetworkPredictor(member).score(batch).loss);
        }
        return -at::logsumexp(log_gates(batch) + at::stack(members, -1), -1).mean();
    }

    Cost cost(std::int64_t context) const override {
        const auto& geometry = base_->geometry();
        Cost cost = side_by_side_cost(members_, context);
        // The base's state is read before its head: a head of its own is neither stored nor run.
        ScalarCount stored, active;
        for (const auto& member : members_) {
            stored.add_stored(*member, kEveryTensor);
            active.add_active(*member, kEveryTensor);
        }
        for (const auto& [name, tensor] : base_->tensors()) {
            if (name == "lm_head.weight") continue;
            stored.add(tensor);
            active.add(tensor, name == "wpe.weight" || name == "wte.weight" ? geometry.width : tensor.numel());
        }
        cost.trained = gate_.scalars();
        cost.stored = stored.total() + cost.trained;
        cost.active = active.total() + cost.trained;
        cost.target_tokens = target_tokens_;
        cost.flops_per_token += network_flops(geometry, context) - head_flops(geometry) + gate_.flops();
        return cost;
    }

    bool show_stream(Batch&, const ForwardHooks&) const override { return false; }

    const std::vector<torch::Tensor>& tensors() const { return gate_.tensors(); }

private:
    static std::vector<std::string> names(std::size_t members) {
        std::vector<std::string> made;
        for (std::size_t i = 0; i < members; ++i) made.push_back("member " + std::to_string(i));
        return made;
    }

    /// [B, T, members]
    torch::Tensor log_gates(Batch& batch) const {
        return gate_.log_probabilities(final_norm(*base_, batch.stream_before(*base_, base_->geometry().blocks)));
    }

    std::shared_ptr<const Parameters> base_;
    Networks members_;
    Router gate_;
    std::int64_t target_tokens_;
};

}  // namespace

Combination route_tokens(const CombinationInput& input) {
    const auto router = std::make_shared<TokenRouter>(input);
    Combination combination;
    combination.curve = learn(input, router->tensors(), "router_batches", [&](const torch::Tensor& windows) { return router->loss(windows); });
    combination.predictor = router;
    return combination;
}

}  // namespace cmsweep
