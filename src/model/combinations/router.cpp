#include "router.hpp"

#include <cmath>

#include <ATen/ATen.h>

#include "cmsweep/base/random.hpp"

namespace cmsweep {
namespace {

/// He et al. 2015, eq. 10 as a uniform distribution: variance 2 / inputs.
torch::Tensor kaiming(const std::string& name, std::int64_t inputs, const std::vector<std::string>& rows, std::uint64_t seed) {
    auto weight = at::empty({static_cast<std::int64_t>(rows.size()), inputs}, at::kFloat);
    const double bound = std::sqrt(6.0 / static_cast<double>(inputs));
    auto* value = weight.data_ptr<float>();
    for (const auto& row : rows) {
        Stream stream(seed, "router_init", {name, row});
        for (std::int64_t i = 0; i < inputs; ++i) *value++ = static_cast<float>(bound * (2.0 * stream.uniform() - 1.0));
    }
    return weight;
}

}  // namespace

Router::Router(const std::string& name, std::int64_t width, const std::vector<std::string>& experts, const nlohmann::json& setting,
               std::uint64_t seed, torch::Device device) {
    std::int64_t inputs = width;
    if (setting.value("router", "linear") == "mlp") {
        inputs = setting.at("hidden");
        std::vector<std::string> rows;
        for (std::int64_t i = 0; i < inputs; ++i) rows.push_back(std::to_string(i));
        tensors_.push_back(kaiming(name + ".hidden", width, rows, seed).to(device));
    }
    const bool zero = setting.at("init").get<std::string>() == "zero";
    auto last = zero ? at::zeros({static_cast<std::int64_t>(experts.size()), inputs}, at::kFloat) : kaiming(name, inputs, experts, seed);
    tensors_.push_back(last.to(device));
}

torch::Tensor Router::scores(const torch::Tensor& input) const {
    auto values = input;
    for (std::size_t i = 0; i < tensors_.size(); ++i) values = at::linear(i == 0 ? values : at::relu(values), tensors_[i]);
    return values.to(at::promote_types(values.scalar_type(), at::kFloat));
}

torch::Tensor Router::probabilities(const torch::Tensor& input) const {
    return at::softmax(scores(input), -1);
}

torch::Tensor Router::log_probabilities(const torch::Tensor& input) const {
    return at::log_softmax(scores(input), -1);
}

std::int64_t Router::scalars() const {
    std::int64_t sum = 0;
    for (const auto& tensor : tensors_) sum += tensor.numel();
    return sum;
}

RoutingDecision keep_top(const torch::Tensor& probabilities, std::int64_t keep, bool renormalise) {
    if (keep >= probabilities.size(-1)) return {probabilities, {}};
    // A stable sort, since topk promises nothing about ties.
    const auto order = std::get<1>(at::sort(probabilities.detach(), /*stable=*/true, /*dim=*/-1, /*descending=*/true));
    const auto kept = at::zeros_like(probabilities, at::kBool).scatter(-1, order.narrow(-1, 0, keep), true);
    auto weights = probabilities * kept;
    if (renormalise) {
        const auto sum = weights.sum(-1, /*keepdim=*/true);
        weights = weights / (keep == 1 ? sum.detach() : sum);
    }
    return {weights, kept};
}

}  // namespace cmsweep
