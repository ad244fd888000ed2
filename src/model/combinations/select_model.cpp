#include <cmath>

#include <ATen/ATen.h>

#include "builders.hpp"
#include "mixture.hpp"

namespace cmsweep {
namespace {

/// Of each window of T tokens the first floor(T/4) are predicted by the equal mixture of the members' probabilities, the
/// others by the member whose own loss on those first ones is lowest (ties: the first member).
class SelectedModel final : public Predictor {
public:
    explicit SelectedModel(Networks members) : members_(std::move(members)) {}

    TokenScores score(Batch& batch) const override {
        const auto targets = batch.targets();
        const auto length = targets.size(1), prefix = length / 4;
        const auto streams = final_streams(members_, batch);
        std::vector<torch::Tensor> losses, corrects, prefix_losses;
        for (std::size_t i = 0; i < members_.size(); ++i) {
            const auto scores = score_stream(*members_[i], streams[i], targets);
            losses.push_back(scores.loss.narrow(1, prefix, length - prefix));
            corrects.push_back(scores.correct.narrow(1, prefix, length - prefix));
            prefix_losses.push_back(scores.loss.narrow(1, 0, prefix).to(at::kDouble).sum(1));
        }
        const auto choice = lowest(prefix_losses).to(targets.device()).view({1, -1, 1});
        const auto chosen = [&](const std::vector<torch::Tensor>& of_members) {
            return at::stack(of_members).gather(0, choice.expand({1, -1, length - prefix})).squeeze(0);
        };
        if (prefix == 0) return {chosen(losses), chosen(corrects)};
        const auto mixture = score_prefix(streams, targets, prefix);
        return {at::cat({mixture.loss, chosen(losses)}, 1), at::cat({mixture.correct, chosen(corrects)}, 1)};
    }

    /// FLOPs and active scalars are means over a window's tokens: all members on its first quarter, one beyond it.
    Cost cost(std::int64_t context) const override {
        const auto one = NetworkPredictor(members_.front()).cost(context);
        Cost cost = side_by_side_cost(members_, context);
        const double share = static_cast<double>(context / 4) / static_cast<double>(context);
        cost.flops_per_token = share * cost.flops_per_token + (1 - share) * one.flops_per_token;
        cost.active = std::llround(share * static_cast<double>(cost.active) + (1 - share) * static_cast<double>(one.active));
        return cost;
    }

    bool show_stream(Batch&, const ForwardHooks&) const override { return false; }

private:
    /// Index of each window's lowest value, the first of equals.
    static torch::Tensor lowest(const std::vector<torch::Tensor>& values) {
        auto best = values.front().clone();
        auto index = at::zeros_like(best, at::kLong);
        for (std::size_t i = 1; i < values.size(); ++i) {
            const auto lower = values[i] < best;
            best = at::where(lower, values[i], best);
            index = index.masked_fill(lower, static_cast<std::int64_t>(i));
        }
        return index;
    }

    TokenScores score_prefix(const std::vector<torch::Tensor>& streams, const torch::Tensor& targets, std::int64_t prefix) const {
        std::vector<torch::Tensor> starts;
        for (const auto& stream : streams) starts.push_back(stream.narrow(1, 0, prefix));
        const std::vector<torch::Tensor> weights(members_.size(), at::full({}, -std::log(static_cast<double>(members_.size())),
                                                                           at::TensorOptions(at::kFloat).device(targets.device())));
        return score_mixture(members_, starts, targets.narrow(1, 0, prefix),
                             [&](std::int64_t, const std::vector<torch::Tensor>& logits) { return mix_probabilities(logits, weights); });
    }

    Networks members_;
};

}  // namespace

Combination select_model(const CombinationInput& input) {
    Combination combination;
    combination.predictor = std::make_shared<SelectedModel>(input.members);
    return combination;
}

}  // namespace cmsweep
