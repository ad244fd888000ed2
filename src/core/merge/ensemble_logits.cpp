#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo ensemble_logits_method() {
    MethodInfo method;
    method.name = "ensemble_logits";
    method.family = Family::output;
    method.parameters = {parameter::alpha(), parameter::weights()};
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary = "Members predict apart; the softmax of their mean logits, with weights w_i.";
    method.source = "logarithmic opinion pool; Genest and Zidek 1986";
    return method;
}

}  // namespace cmsweep
