#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo ensemble_probabilities_method() {
    MethodInfo method;
    method.name = "ensemble_probabilities";
    method.family = Family::output;
    method.parameters = {parameter::alpha(), parameter::weights()};
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary = "Members predict apart; their next-token probabilities are averaged with weights w_i.";
    method.source = "mixture of experts with fixed weights; Jacobs et al. 1991";
    return method;
}

}  // namespace cmsweep
