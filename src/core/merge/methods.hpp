#pragma once

#include "cmsweep/core/merge/method.hpp"

// One function a method: its line of the registry. Parameter-space methods are implemented in the file of the same
// name; the others are executed by the model layer, and their files say only what they are.
namespace cmsweep {

MethodInfo specialist_method();
MethodInfo base_method();
MethodInfo finetune_target_method();
MethodInfo joint_method();

MethodInfo average_method();
MethodInfo slerp_method();
MethodInfo task_arithmetic_method();
MethodInfo ties_method();
MethodInfo dare_method();
MethodInfo breadcrumbs_method();
MethodInfo della_method();
MethodInfo magmax_method();
MethodInfo model_stock_method();
MethodInfo karcher_method();
MethodInfo sce_method();
MethodInfo nearswap_method();
MethodInfo expo_method();
MethodInfo tsv_method();
MethodInfo iso_c_method();
MethodInfo rebasin_method();

MethodInfo fisher_method();
MethodInfo regmean_method();
MethodInfo learned_average_method();

MethodInfo interpolate_features_method();

MethodInfo route_method();

MethodInfo ensemble_logits_method();
MethodInfo ensemble_probabilities_method();
MethodInfo route_tokens_method();
MethodInfo select_model_method();

}  // namespace cmsweep
