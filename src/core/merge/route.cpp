#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo route_method() {
    MethodInfo method;
    method.name = "route";
    method.family = Family::routing;
    method.parameters = {
        parameter::choice("scope", {"per_layer", "single"}, "per_layer",
                          "a router in every chosen block, or the first chosen block's for all"),
        parameter::integer("span", 1, 1024, 1,
                           "neighbouring blocks whose MLPs are experts of a block; 1: its own only"),
        parameter::integer("top_k", 1, 1 << 20, "all",
                           "experts kept, at their softmax weights; ties go to the lowest index", {"all"}),
        parameter::boolean("renormalise", false, "divide the kept weights by their sum (detached where one is kept)"),
        parameter::boolean("include_base", false, "the base's MLPs are experts too"),
        parameter::choice("router", {"linear", "mlp"}, "linear", "a bias-free linear map, or one hidden layer"),
        parameter::integer("hidden", 1, 65536, 64, "width of the hidden layer of router = \"mlp\""),
        parameter::choice("init", {"kaiming", "zero"}, "kaiming",
                          "uniform +-sqrt(6 / width), or zero: uniform mixing until trained"),
        parameter::train_on("target"),
        parameter::integer("steps", 0, parameter::kMaxSteps, 200, "training steps; 0: untrained"),
        parameter::integer("batch", 1, 1 << 20, 16, "windows a step"),
        parameter::real_above("learning_rate", 0, 1000, 5e-3, "AdamW's, falling by a cosine to 10 %"),
    };
    method.needs_text = true;
    method.draws = true;
    method.summary = "A router weighs the members' MLPs per token in every chosen block; only routers train.";
    method.source = "Pari, Jelassi, Agrawal 2024 (arXiv:2411.02207), section 4";
    return method;
}

}  // namespace cmsweep
