#include <algorithm>

#include <ATen/ATen.h>

#include "cmsweep/model/device.hpp"
#include "cmsweep/model/training.hpp"

namespace cmsweep {
namespace {

/// `live` with the named tensors detached; `clone` where they will go on changing.
Parameters snapshot(const Parameters& live, const std::set<std::string>& names, bool clone) {
    Parameters fixed = live;
    for (const auto& name : names) fixed.set(name, clone ? live[name].detach().clone() : live[name].detach());
    return fixed;
}

}  // namespace

FineTuneResult fine_tune(const Parameters& start, const TrainingConfig& config, WindowSampler& sampler,
                         std::span<const std::int64_t> degrees, const std::string& precision,
                         const std::function<void(std::int64_t degree, const Parameters& parameters)>& checkpoint,
                         const std::function<void()>& safe_point, const ResumePoint& resume) {
    const auto names = trainable_names(start.geometry(), config.trainable);
    const auto device = start.device();
    Parameters live = start;
    std::vector<torch::Tensor> trained, anchors;
    for (const auto& name : names) {
        trained.push_back(start[name].detach().clone().requires_grad_(true));
        anchors.push_back(start[name].detach());
        live.set(name, trained.back());
    }

    const auto step_loss = [&](std::int64_t) {
        const auto windows = sampler.next(device);
        const auto length = windows.size(1) - 1;
        torch::Tensor loss;
        {
            const PrecisionScope scope(precision, device);
            const auto logits = forward(live, windows.narrow(1, 0, length));
            loss = at::cross_entropy_loss(logits.view({-1, logits.size(-1)}).to(at::kFloat), windows.narrow(1, 1, length).reshape({-1}));
        }
        if (config.l2sp > 0) {  // Li et al. 2018, "Explicit inductive bias for transfer learning", eq. 3 without its second term
            for (std::size_t i = 0; i < trained.size(); ++i)
                loss = loss + 0.5 * config.l2sp * (trained[i] - anchors[i]).square().sum();
        }
        return loss;
    };

    TrainingHooks hooks;
    hooks.safe_point = safe_point;
    hooks.finished = [&](std::int64_t step) {
        if (step > 0 && checkpoint && std::find(degrees.begin(), degrees.end(), step) != degrees.end())
            checkpoint(step, snapshot(live, names, true));
    };
    ResumePoint with_data = resume;
    if (!with_data.extra_state) with_data.extra_state = [&] { return sampler.state(); };
    if (!with_data.restore_extra) with_data.restore_extra = [&](const std::string& state) { sampler.restore(state); };
    auto curve = train(trained, config, step_loss, hooks, with_data);
    return {snapshot(live, names, false), std::move(curve)};
}

}  // namespace cmsweep
