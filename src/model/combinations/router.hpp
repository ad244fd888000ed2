#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>
#include <torch/types.h>

namespace cmsweep {

/// A gate over experts: a bias-free linear map of its input, or one hidden layer (linear, ReLU, linear; no biases), and a
/// softmax.
class Router {
public:
    /// `setting`: "router" ("linear" or "mlp" with "hidden") and "init". Weights "kaiming" are uniform on
    /// ±sqrt(6 / inputs of the map); "zero" sets the map to the experts to 0, which mixes uniformly until trained (the
    /// hidden layer keeps its draw, without which no gradient would ever reach either map).
    /// Each row is drawn from Stream(seed, "router_init", {name, what the row belongs to}): an expert starts from the same
    /// row whichever other experts there are.
    Router(const std::string& name, std::int64_t width, const std::vector<std::string>& experts, const nlohmann::json& setting,
           std::uint64_t seed, torch::Device device);

    /// [..., width] -> [..., experts], rows of sum 1; float32, or float64 for a float64 input.
    torch::Tensor probabilities(const torch::Tensor& input) const;
    torch::Tensor log_probabilities(const torch::Tensor& input) const;

    const std::vector<torch::Tensor>& tensors() const { return tensors_; }
    std::int64_t scalars() const;
    double flops() const { return 2.0 * static_cast<double>(scalars()); }  ///< per token: every scalar is a matrix weight

private:
    torch::Tensor scores(const torch::Tensor& input) const;

    std::vector<torch::Tensor> tensors_;  ///< [experts, width]; or [hidden, width], [experts, hidden]
};

/// What becomes of a softmax.
struct RoutingDecision {
    torch::Tensor weights;  ///< [..., experts]; 0 where an expert is not kept
    torch::Tensor kept;     ///< bool, the same shape; undefined where all are kept
};

/// The `keep` largest probabilities (ties: lowest index) at their values; `renormalise` divides them by their sum, for
/// keep = 1 as if that sum were a constant: the weight is 1, and its gradient still teaches the router.
RoutingDecision keep_top(const torch::Tensor& probabilities, std::int64_t keep, bool renormalise);

}  // namespace cmsweep
