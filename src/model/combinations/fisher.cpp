#include <ATen/ATen.h>

#include "cmsweep/base/random.hpp"
#include "own_text.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

/// One token for each row of log-probabilities [n, V]: the first whose cumulative probability exceeds a uniform draw.
torch::Tensor draw_labels(const torch::Tensor& log_probabilities, Stream& stream) {
    const auto cumulative = log_probabilities.detach().to(at::kDouble).exp().cumsum(-1);
    auto uniform = at::empty({log_probabilities.size(0), 1}, at::kDouble);
    for (std::int64_t i = 0; i < uniform.numel(); ++i) uniform.data_ptr<double>()[i] = stream.uniform();
    const auto below = cumulative <= uniform.to(cumulative.device()) * cumulative.narrow(-1, cumulative.size(-1) - 1, 1);
    return below.sum(-1).clamp_max(cumulative.size(-1) - 1);
}

}  // namespace

Statistics fisher_information(const StatisticsInput& input) {
    const auto& combination = input.combination;
    const bool sampled = combination.setting.at("labels").get<std::string>() == "sampled";
    const std::int64_t windows = combination.setting.at("windows");
    input.target_tokens = own_target_tokens(combination, windows);
    Statistics information;
    for (std::size_t i = 0; i < combination.members.size(); ++i) {
        Parameters live = *combination.members[i];
        std::vector<torch::Tensor> leaves, sums;
        for (const auto& tensor : input.tensors) {
            leaves.push_back(live[tensor.name].detach().clone().requires_grad_(true));
            sums.push_back(at::zeros_like(live[tensor.name]));
            live.set(tensor.name, leaves.back());
        }
        Stream stream(combination.seed, "fisher_labels", {own_text(combination, i).digest().hex()});
        // One window at a time: the square of a batch's summed gradient is not the sum of the windows' squares.
        visit_own_text(combination, i, windows, 1, "fisher_batches", [&](const torch::Tensor& window) {
            const auto length = window.size(1) - 1;
            const auto logits = forward(live, window.narrow(1, 0, length));
            const auto log_probabilities = at::log_softmax(logits.view({-1, logits.size(-1)}).to(at::kFloat), -1);
            const auto labels = sampled ? draw_labels(log_probabilities, stream) : window.narrow(1, 1, length).reshape({-1});
            log_probabilities.gather(1, labels.unsqueeze(1)).sum().backward();
            const at::NoGradGuard no_grad;
            for (std::size_t t = 0; t < leaves.size(); ++t) {
                if (leaves[t].grad().defined()) sums[t].addcmul_(leaves[t].grad(), leaves[t].grad());
                leaves[t].mutable_grad() = torch::Tensor();
            }
        });
        for (auto& sum : sums) sum = sum.div_(static_cast<double>(windows)).to(at::kCPU).contiguous();
        information.push_back(std::move(sums));
    }
    return information;
}

}  // namespace cmsweep
