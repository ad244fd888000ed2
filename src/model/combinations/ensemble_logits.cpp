#include <ATen/ATen.h>

#include "builders.hpp"
#include "mixture.hpp"
#include "weighted_members.hpp"

namespace cmsweep {
namespace {

class LogitEnsemble final : public Predictor {
public:
    LogitEnsemble(Networks members, std::vector<double> weights) : members_(std::move(members)), weights_(std::move(weights)) {}

    TokenScores score(Batch& batch) const override {
        return score_mixture(members_, final_streams(members_, batch), batch.targets(),
                             [this](std::int64_t, const std::vector<torch::Tensor>& logits) {
                                 auto mean = logits.front() * weights_.front();
                                 for (std::size_t i = 1; i < logits.size(); ++i) mean = at::add(mean, logits[i], weights_[i]);
                                 return at::log_softmax(mean, -1);
                             });
    }

    Cost cost(std::int64_t context) const override { return side_by_side_cost(members_, context); }

    bool show_stream(Batch&, const ForwardHooks&) const override { return false; }

private:
    Networks members_;
    std::vector<double> weights_;
};

}  // namespace

Combination ensemble_logits(const CombinationInput& input) {
    Networks members;
    std::vector<double> weights;
    for (const auto& [parameters, weight] : weighted_members(input)) {
        members.push_back(parameters);
        weights.push_back(weight);
    }
    Combination combination;
    if (members.size() == 1)
        combination.predictor = std::make_shared<NetworkPredictor>(members.front());  // that member, bit for bit
    else
        combination.predictor = std::make_shared<LogitEnsemble>(std::move(members), std::move(weights));
    return combination;
}

}  // namespace cmsweep
