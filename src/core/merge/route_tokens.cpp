#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo route_tokens_method() {
    MethodInfo method;
    method.name = "route_tokens";
    method.family = Family::output;
    method.parameters = {
        parameter::choice("init", {"kaiming", "zero"}, "kaiming",
                          "uniform +-sqrt(6 / width), or zero: uniform mixing until trained"),
        parameter::train_on("target"),
        parameter::integer("steps", 0, parameter::kMaxSteps, 200, "training steps; 0: untrained"),
        parameter::integer("batch", 1, 1 << 20, 16, "windows a step"),
        parameter::real_above("learning_rate", 0, 1000, 5e-3, "AdamW's, falling by a cosine to 10 %"),
    };
    method.needs_base = true;
    method.needs_text = true;
    method.draws = true;
    method.identities = {"equal_members"};
    method.summary =
        "Members predict apart; a gate on the base's final state weighs their next-token probabilities per token.";
    method.source = "mixture of experts; Jacobs et al. 1991";
    return method;
}

}  // namespace cmsweep
