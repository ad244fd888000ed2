#include <cmath>

#include <ATen/ATen.h>

#include "builders.hpp"
#include "mixture.hpp"
#include "weighted_members.hpp"

namespace cmsweep {
namespace {

class ProbabilityEnsemble final : public Predictor {
public:
    ProbabilityEnsemble(Networks members, std::vector<torch::Tensor> log_weights)
        : members_(std::move(members)), log_weights_(std::move(log_weights)) {}

    TokenScores score(Batch& batch) const override {
        return score_mixture(members_, final_streams(members_, batch), batch.targets(),
                             [this](std::int64_t, const std::vector<torch::Tensor>& logits) { return mix_probabilities(logits, log_weights_); });
    }

    Cost cost(std::int64_t context) const override { return side_by_side_cost(members_, context); }

    bool show_stream(Batch&, const ForwardHooks&) const override { return false; }

private:
    Networks members_;
    std::vector<torch::Tensor> log_weights_;
};

}  // namespace

Combination ensemble_probabilities(const CombinationInput& input) {
    Networks members;
    std::vector<torch::Tensor> log_weights;
    for (const auto& [parameters, weight] : weighted_members(input)) {
        members.push_back(parameters);
        log_weights.push_back(at::full({}, std::log(weight), at::TensorOptions(at::kFloat).device(parameters->device())));
    }
    Combination combination;
    if (members.size() == 1)
        combination.predictor = std::make_shared<NetworkPredictor>(members.front());  // that member, bit for bit
    else
        combination.predictor = std::make_shared<ProbabilityEnsemble>(std::move(members), std::move(log_weights));
    return combination;
}

}  // namespace cmsweep
