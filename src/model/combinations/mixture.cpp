#include "mixture.hpp"

#include <ATen/ATen.h>

#include "cmsweep/model/cost.hpp"
#include "scalar_count.hpp"

namespace cmsweep {
namespace {

/// Scores of one network that are held at once: 64 MiB of float32. Fixed, since bits may depend on it.
constexpr std::int64_t kLogitsAtOnce = std::int64_t{1} << 24;

}  // namespace

TokenScores score_mixture(const Networks& networks, std::span<const torch::Tensor> streams, const torch::Tensor& targets,
                          const MixtureRule& rule) {
    std::vector<torch::Tensor> normed;
    for (std::size_t i = 0; i < networks.size(); ++i)
        normed.push_back(final_norm(*networks[i], streams[i]).reshape({-1, networks[i]->geometry().width}));
    const auto flat = targets.reshape({-1});
    const auto count = flat.size(0);
    const auto chunk = std::max<std::int64_t>(1, kLogitsAtOnce / networks.front()->geometry().vocabulary);
    std::vector<torch::Tensor> losses, corrects;
    for (std::int64_t first = 0; first < count; first += chunk) {
        const auto rows = std::min(chunk, count - first);
        std::vector<torch::Tensor> logits;
        for (std::size_t i = 0; i < networks.size(); ++i)
            logits.push_back(project(*networks[i], normed[i].narrow(0, first, rows)).to(at::kFloat));
        const auto log_probabilities = rule(first, logits);
        const auto wanted = flat.narrow(0, first, rows);
        losses.push_back(-log_probabilities.gather(1, wanted.unsqueeze(1)).squeeze(1));
        corrects.push_back(log_probabilities.argmax(-1) == wanted);
    }
    return {at::cat(losses).view(targets.sizes()), at::cat(corrects).view(targets.sizes())};
}

torch::Tensor mix_probabilities(const std::vector<torch::Tensor>& logits, std::span<const torch::Tensor> log_weights) {
    // In logarithms: a token that every member finds unlikely still has a finite loss.
    auto sum = at::log_softmax(logits.front(), -1) + log_weights.front();
    for (std::size_t i = 1; i < logits.size(); ++i) sum = at::logaddexp(sum, at::log_softmax(logits[i], -1) + log_weights[i]);
    return sum;
}

std::vector<torch::Tensor> final_streams(const Networks& networks, Batch& batch) {
    std::vector<torch::Tensor> streams;
    for (const auto& network : networks) streams.push_back(batch.stream_before(*network, network->geometry().blocks));
    return streams;
}

Cost side_by_side_cost(const Networks& networks, std::int64_t context) {
    ScalarCount stored, active;
    Cost cost;
    for (const auto& network : networks) {
        stored.add_stored(*network, kEveryTensor);
        active.add_active(*network, kEveryTensor);
        cost.flops_per_token += network_flops(network->geometry(), context);
    }
    cost.stored = stored.total();
    cost.active = active.total();
    return cost;
}

}  // namespace cmsweep
