#pragma once

#include <vector>

#include "cmsweep/model/combination.hpp"

// What parameter-space methods learn from text before they merge (ParameterMergeInput::statistics): one function a method,
// in the file of its name; registry.cpp maps names to them.
namespace cmsweep {

/// Per member and merged tensor: contiguous float32 on the CPU.
using Statistics = std::vector<std::vector<torch::Tensor>>;

/// Everything that the methods read: the tensors to be merged, in order.
struct StatisticsInput {
    const CombinationInput& combination;
    const std::vector<MergeTensor>& tensors;
    TrainingCurve& curve;           ///< filled by those that train
    std::int64_t& trained;          ///< scalars trained
    std::int64_t& target_tokens;    ///< tokens of the target's training text that were read
};

/// F: mean over windows of each member's own text of the squared gradient of the window's summed log-likelihood.
Statistics fisher_information(const StatisticsInput& input);
/// G: mean over tokens of each member's own text of x x^T, x the input of a linear map; empty for other tensors.
Statistics input_grams(const StatisticsInput& input);
/// One coefficient a tensor.
Statistics learned_coefficients(const StatisticsInput& input);

/// For every member but the first with a weight: sums over tokens of that first's activations times the member's, on the same
/// text. At attn.c_attn.weight of queries and keys, [2, width, width]; at attn.c_proj.weight of mixed values, [1, width, width];
/// at mlp.c_proj.weight of neurons, [1, inner, inner]; empty for other tensors. Nothing at all for a match by weights.
Statistics unit_products(const StatisticsInput& input);

/// The registry's function for this method; null for those that learn nothing.
using StatisticsFunction = Statistics (*)(const StatisticsInput& input);
StatisticsFunction statistics_of(const std::string& method);

}  // namespace cmsweep
