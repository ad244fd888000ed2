#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo finetune_target_method() {
    MethodInfo method;
    method.name = "finetune_target";
    method.family = Family::reference;
    method.parameters = {
        parameter::choice("trainable", {"mlp", "all"}, "mlp", "what is trained: MLPs, or everything"),
        parameter::train_on("target"),
        parameter::integer("steps", 0, parameter::kMaxSteps, 200, "training steps"),
        parameter::integer("batch", 1, 1 << 20, 16, "windows a step"),
        parameter::real_above("learning_rate", 0, 1000, 8e-5, "AdamW's, falling by a cosine to 10 %"),
    };
    method.needs_base = true;
    method.needs_text = true;
    method.draws = true;
    method.identities = {"symmetric"};
    method.summary =
        "The base fine-tuned on as much target text as routers see at the same steps and batch, window for window.";
    method.source = "reference row; Pari, Jelassi, Agrawal 2024 (arXiv:2411.02207)";
    return method;
}

MethodInfo joint_method() {
    MethodInfo method;
    method.name = "joint";
    method.family = Family::reference;
    method.version = 2;
    method.parameters = {
        parameter::choice("trainable", {"mlp", "all"}, "mlp", "what is trained: MLPs, or everything"),
        parameter::choice("train_on", {"specialists"}, "specialists", "the members' own training text, in equal parts"),
        parameter::integer("steps", 0, parameter::kMaxSteps, 0,
                           "training steps; 0: as many tokens as the members were fine-tuned on together"),
        parameter::integer("batch", 1, 1 << 20, 16, "windows a step"),
        parameter::real_above("learning_rate", 0, 1000, 8e-4, "AdamW's, falling by a cosine to 10 %"),
    };
    method.needs_base = true;
    method.needs_text = true;
    method.draws = true;
    method.zero_steps_count_members = true;
    method.identities = {"symmetric"};
    method.summary = "The base fine-tuned on all members' text at once, as many tokens as they together.";
    method.source = "reference row: what combining is to replace";
    return method;
}

}  // namespace cmsweep
