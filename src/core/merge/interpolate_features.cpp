#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {

MethodInfo interpolate_features_method() {
    MethodInfo method;
    method.name = "interpolate_features";
    method.family = Family::activation;
    method.parameters = {
        parameter::alpha(),
        parameter::weights(),
        parameter::choice("site", {"mlp", "block"}, "mlp", "what is mixed: MLP outputs, or whole block outputs"),
    };
    // "parents" holds exactly only where everything outside the mixed parts is shared, so it is not claimed.
    method.identities = {"equal_members", "symmetric"};
    method.summary =
        "In every chosen block the outputs of all members' MLPs on one shared stream are averaged with weights w_i.";
    method.source = "Pari, Jelassi, Agrawal 2024 (arXiv:2411.02207), section 3";
    return method;
}

}  // namespace cmsweep
