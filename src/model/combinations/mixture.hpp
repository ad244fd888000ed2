#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "cmsweep/model/predictor.hpp"

namespace cmsweep {

using Networks = std::vector<std::shared_ptr<const Parameters>>;

/// A rule that turns the members' logits of tokens first … first + n - 1 (row-major over the scored tokens), each [n, V]
/// float32, into log-probabilities [n, V].
using MixtureRule = std::function<torch::Tensor(std::int64_t first, const std::vector<torch::Tensor>& logits)>;

/// Scores tokens by a mixture of networks that met only at inputs and outputs. `streams`: each network's residual stream
/// before its final norm at these tokens, [B, T', width]; targets [B, T']. In chunks of tokens, as score_stream.
TokenScores score_mixture(const Networks& networks, std::span<const torch::Tensor> streams, const torch::Tensor& targets,
                          const MixtureRule& rule);

/// The log-probabilities of Sum weight_i x p_i; `log_weights[i]` broadcasts to [n, V]: a scalar or a column [n, 1].
torch::Tensor mix_probabilities(const std::vector<torch::Tensor>& logits, std::span<const torch::Tensor> log_weights);

/// Final residual streams of all networks, shared with other predictors of the batch.
std::vector<torch::Tensor> final_streams(const Networks& networks, Batch& batch);

/// Cost of running all of them side by side: FLOPs add up, shared tensors count once.
Cost side_by_side_cost(const Networks& networks, std::int64_t context);

}  // namespace cmsweep
