#include "methods.hpp"

namespace cmsweep {

MethodInfo select_model_method() {
    MethodInfo method;
    method.name = "select_model";
    method.family = Family::output;
    method.identities = {"equal_members", "symmetric"};
    method.summary =
        "The first quarter of each window is predicted by the equal mixture, the rest by the member with the lowest "
        "loss there.";
    method.source = "selection by prefix likelihood; nothing is trained";
    return method;
}

}  // namespace cmsweep
