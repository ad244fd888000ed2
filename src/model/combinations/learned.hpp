#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "cmsweep/model/combination.hpp"

namespace cmsweep {

/// Trains a combination's own tensors on input.training_text (each split an equal share; a split named twice counts
/// twice): AdamW, betas 0.9 and 0.99, clip 1, cosine to 10 %; `steps`, `batch` and `learning_rate`
/// from the setting; the last step is taken. `loss(windows)`: windows [B, T + 1] -> scalar, in input.precision.
/// `purpose` names the stream of windows. 0 steps: nothing happens, and no text is needed.
TrainingCurve learn(const CombinationInput& input, std::vector<torch::Tensor> trained, std::string_view purpose,
                    const std::function<torch::Tensor(const torch::Tensor& windows)>& loss, double weight_decay = 0.1);

/// input.training_text as sources of equal shares. Throws InputError if there is none.
std::vector<WindowSampler::Source> training_sources(const CombinationInput& input);
/// Tokens of a training window.
std::int64_t window_context(const CombinationInput& input);

/// Tokens that learn() draws from the target's training text, wherever train_on leads: none unless that is among the sources.
std::int64_t target_tokens(const CombinationInput& input);

/// Mean cross-entropy of a stream [B, T, width] before the final norm, differentiable.
torch::Tensor mean_loss(const Parameters& parameters, const torch::Tensor& stream, const torch::Tensor& targets);

}  // namespace cmsweep
