#pragma once

#include "blocks.hpp"

// TIES' second and third step: elect a sign for every parameter, then merge the task vectors that agree with it
// (Yadav et al. 2023, arXiv:2306.01708, section 3).
namespace cmsweep {

struct ConsensusRule {
    bool mean = true;               ///< weighted mean of those that agree; else their weighted sum
    bool zero_is_positive = false;  ///< a sum of exactly 0 elects + (mergekit) instead of nothing (the paper's sgn)
    double lambda = 1;
};

/// theta_0 + lambda * merged. Weights are relative (mean 1).
void merge_by_consensus(const ParameterMergeInput& input, const TauSource& source, const ConsensusRule& rule,
                        std::span<const std::span<float>> out);

}  // namespace cmsweep
