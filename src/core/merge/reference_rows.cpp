#include "methods.hpp"

namespace cmsweep {

MethodInfo specialist_method() {
    MethodInfo method;
    method.name = "specialist";
    method.family = Family::reference;
    method.summary = "Each member alone; always run.";
    method.source = "reference row of every comparison";
    return method;
}

MethodInfo base_method() {
    MethodInfo method;
    method.name = "base";
    method.family = Family::reference;
    method.needs_base = true;
    method.summary = "The model every specialist starts from, alone; always run.";
    method.source = "reference row of every comparison";
    return method;
}

}  // namespace cmsweep
