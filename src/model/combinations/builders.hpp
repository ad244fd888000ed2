#pragma once

#include "cmsweep/model/combination.hpp"

// One function a method outside parameter space, each in the file of its name; registry.cpp maps names to them.
namespace cmsweep {

/// Any method of parameter space: see merged.cpp.
Combination merge_parameters(const CombinationInput& input);

Combination take_specialist(const CombinationInput& input);
Combination take_base(const CombinationInput& input);
Combination finetune_target(const CombinationInput& input);
Combination joint(const CombinationInput& input);
Combination interpolate_features(const CombinationInput& input);
Combination route(const CombinationInput& input);
Combination ensemble_logits(const CombinationInput& input);
Combination ensemble_probabilities(const CombinationInput& input);
Combination route_tokens(const CombinationInput& input);
Combination select_model(const CombinationInput& input);

}  // namespace cmsweep
