#include <functional>
#include <numeric>

#include "cmsweep/core/merge/method.hpp"
#include "methods.hpp"

namespace cmsweep {

std::string_view family_name(Family family) {
    switch (family) {
        case Family::reference:
            return "reference";
        case Family::parameter:
            return "parameter";
        case Family::activation:
            return "activation";
        case Family::routing:
            return "routing";
        case Family::output:
            return "output";
    }
    return "";
}

std::int64_t MergeTensor::elements() const {
    return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::span<const MethodInfo> merge_methods() {
    static const std::vector<MethodInfo> methods{
        // reference rows
        specialist_method(),
        base_method(),
        finetune_target_method(),
        joint_method(),
        // parameter space
        average_method(),
        slerp_method(),
        task_arithmetic_method(),
        ties_method(),
        dare_method(),
        breadcrumbs_method(),
        della_method(),
        magmax_method(),
        model_stock_method(),
        karcher_method(),
        sce_method(),
        nearswap_method(),
        expo_method(),
        tsv_method(),
        iso_c_method(),
        rebasin_method(),
        fisher_method(),
        regmean_method(),
        learned_average_method(),
        // activation space
        interpolate_features_method(),
        // routing
        route_method(),
        // output space
        ensemble_logits_method(),
        ensemble_probabilities_method(),
        route_tokens_method(),
        select_model_method(),
    };
    return methods;
}

const MethodInfo* find_method(std::string_view name) {
    for (const auto& method : merge_methods()) {
        if (method.name == name) return &method;
    }
    return nullptr;
}

}  // namespace cmsweep
