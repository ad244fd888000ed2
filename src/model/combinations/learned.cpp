#include "learned.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/device.hpp"

namespace cmsweep {

std::int64_t window_context(const CombinationInput& input) {
    return input.context > 0 ? input.context : input.base->geometry().context;
}

std::vector<WindowSampler::Source> training_sources(const CombinationInput& input) {
    std::vector<WindowSampler::Source> found;
    for (const auto* split : input.training_text) {
        // Two members of one corpus: one source of twice the share; as two sources they would draw the same windows.
        const auto known = std::find_if(found.begin(), found.end(), [&](const auto& source) { return source.split->digest() == split->digest(); });
        if (known != found.end())
            known->share += 1;
        else
            found.push_back({split, 1.0});
    }
    if (found.empty()) throw InputError(input.method->name + ": no training text; set train_on to a target or corpus with a training split");
    return found;
}

TrainingCurve learn(const CombinationInput& input, std::vector<torch::Tensor> trained, std::string_view purpose,
                    const std::function<torch::Tensor(const torch::Tensor& windows)>& loss, double weight_decay) {
    TrainingConfig config;
    config.steps = input.setting.at("steps");
    if (config.steps == 0) return {};
    config.batch = input.setting.at("batch");
    config.context = window_context(input);
    config.learning_rate = input.setting.at("learning_rate");
    config.beta1 = 0.9;
    config.beta2 = 0.99;
    config.weight_decay = weight_decay;
    config.gradient_clip = 1.0;
    config.schedule = "cosine";
    config.min_learning_rate_ratio = 0.1;

    WindowSampler sampler(training_sources(input), config.context, config.batch, input.seed, purpose, "");
    const auto device = input.host->device();
    TrainingHooks hooks;
    hooks.safe_point = input.safe_point;
    ResumePoint resume = input.resume;
    resume.extra_state = [&] { return sampler.state(); };
    resume.restore_extra = [&](const std::string& state) { sampler.restore(state); };
    for (auto& tensor : trained) tensor.requires_grad_(true);
    auto curve = train(
        trained, config,
        [&](std::int64_t) {
            const auto windows = sampler.next(device);
            const PrecisionScope scope(input.precision, device);
            return loss(windows);
        },
        hooks, resume);
    for (auto& tensor : trained) tensor.requires_grad_(false);
    return curve;
}

std::int64_t target_tokens(const CombinationInput& input) {
    const std::int64_t steps = input.setting.at("steps");
    if (steps == 0) return 0;
    const WindowSampler sampler(training_sources(input), window_context(input), input.setting.at("batch"), input.seed, "count", "");
    return steps * sampler.windows_from(input.target_text) * window_context(input);
}

torch::Tensor mean_loss(const Parameters& parameters, const torch::Tensor& stream, const torch::Tensor& targets) {
    const auto logits = project(parameters, final_norm(parameters, stream));
    return at::cross_entropy_loss(logits.reshape({-1, logits.size(-1)}).to(at::kFloat), targets.reshape({-1}));
}

}  // namespace cmsweep
