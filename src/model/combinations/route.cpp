#include <algorithm>

#include <ATen/ATen.h>

#include "builders.hpp"
#include "cmsweep/model/device.hpp"
#include "learned.hpp"
#include "routed_stack.hpp"

namespace cmsweep {

std::int64_t expert_count(const nlohmann::json& setting, std::int64_t members) {
    return setting.at("span").get<std::int64_t>() * (members + (setting.at("include_base").get<bool>() ? 1 : 0));
}

Combination route(const CombinationInput& input) {
    const auto stack = std::make_shared<RoutedStack>(input);
    Combination combination;
    combination.curve = learn(input, stack->router_tensors(), "router_batches", [&](const torch::Tensor& windows) {
        const auto length = windows.size(1) - 1;
        return mean_loss(*input.host, stack->stream(windows.narrow(1, 0, length)), windows.narrow(1, 1, length));
    });
    combination.predictor = stack;
    return combination;
}

std::vector<std::vector<double>> routing_weights(const Predictor& predictor, const EvaluationText& text, torch::Device device,
                                                 const std::string& precision, const std::function<void()>& safe_point) {
    const auto* stack = dynamic_cast<const RoutedStack*>(&predictor);
    if (!stack) return {};
    const at::NoGradGuard no_grad;
    const auto count = static_cast<std::int64_t>(text.starts.size());
    const auto batch_windows = std::max<std::int64_t>(1, kEvaluationTokens / text.context);
    std::vector<torch::Tensor> sums(stack->experts().size());
    for (std::int64_t first = 0; first < count; first += batch_windows) {
        if (safe_point) safe_point();
        const auto windows = std::min(batch_windows, count - first);
        Batch batch(gather_windows(*text.split, std::span(text.starts).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(windows)),
                                   text.context, device));
        const PrecisionScope scope(precision, device);
        std::size_t place = 0;
        stack->observe(batch, [&](std::int64_t, const torch::Tensor& weights) {
            const auto sum = weights.reshape({-1, weights.size(-1)}).to(at::kDouble).sum(0);
            sums[place] = sums[place].defined() ? sums[place] + sum : sum;
            ++place;
        });
    }
    std::vector<std::vector<double>> means;
    for (const auto& sum : sums) {
        const auto mean = (sum / static_cast<double>(count * text.context)).to(at::kCPU).contiguous();
        means.emplace_back(mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel());
    }
    return means;
}

}  // namespace cmsweep
