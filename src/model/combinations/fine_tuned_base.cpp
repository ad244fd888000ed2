#include <algorithm>
#include <numeric>

#include <ATen/ATen.h>

#include "builders.hpp"
#include "cmsweep/model/cost.hpp"
#include "learned.hpp"

namespace cmsweep {
namespace {

/// A network with its cost plus what its training cost.
class FineTunedBase final : public NetworkPredictor {
public:
    FineTunedBase(std::shared_ptr<const Parameters> parameters, std::int64_t trained, std::int64_t tokens)
        : NetworkPredictor(std::move(parameters)), trained_(trained), target_tokens_(tokens) {}

    Cost cost(std::int64_t context) const override {
        auto cost = NetworkPredictor::cost(context);
        cost.trained = trained_;
        cost.target_tokens = target_tokens_;
        return cost;
    }

private:
    std::int64_t trained_, target_tokens_;
};

/// Trains a copy of the base's MLPs, or of all of it, on input.training_text.
Combination fine_tune_base(const CombinationInput& input) {
    auto parameters = std::make_shared<Parameters>(*input.base);
    std::vector<torch::Tensor> trained;
    std::int64_t scalars = 0;
    for (const auto& name : trainable_names(input.base->geometry(), input.setting.at("trainable").get<std::string>())) {
        trained.push_back((*input.base)[name].detach().clone());
        parameters->set(name, trained.back());
        scalars += trained.back().numel();
    }
    Combination combination;
    // The routers' windows: at equal steps and batch it sees what they saw.
    combination.curve = learn(input, trained, "router_batches", [&](const torch::Tensor& windows) {
        const auto length = windows.size(1) - 1;
        const auto ids = windows.narrow(1, 0, length);
        const auto stream = run_blocks(*parameters, embed(*parameters, ids), 0, parameters->geometry().blocks);
        return mean_loss(*parameters, stream, windows.narrow(1, 1, length));
    });
    combination.predictor = std::make_shared<FineTunedBase>(std::move(parameters), scalars, target_tokens(input));
    return combination;
}

}  // namespace

Combination finetune_target(const CombinationInput& input) {
    return fine_tune_base(input);
}

Combination joint(const CombinationInput& input) {
    auto given = input;
    if (given.setting.at("steps").get<std::int64_t>() == 0) {
        const auto tokens = std::accumulate(input.member_tokens.begin(), input.member_tokens.end(), std::int64_t{0});
        const auto of_a_step = input.setting.at("batch").get<std::int64_t>() * window_context(input);
        given.setting["steps"] = tokens == 0 ? 0 : std::max<std::int64_t>(1, (tokens + of_a_step / 2) / of_a_step);
    }
    return fine_tune_base(given);
}

}  // namespace cmsweep
