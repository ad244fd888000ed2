#include "blocks.hpp"
#include "geometry.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

void task_arithmetic(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json& notes) {
    const double lambda = input.setting.at("lambda");
    const PlainTau plain(input);
    merge_by_sum(input, plain, std::vector<double>(input.members.size(), lambda), out);
    notes.update(tau_geometry(input));
}

}  // namespace

MethodInfo task_arithmetic_method() {
    MethodInfo method;
    method.name = "task_arithmetic";
    method.family = Family::parameter;
    method.parameters = {parameter::real("lambda", 0, 100, 0.3, "scale of the sum of task vectors")};
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary = "The base plus lambda times the sum of the members' task vectors.";
    method.source = "Ilharco et al. 2023, Editing models with task arithmetic (arXiv:2212.04089), section 2";
    method.merge = task_arithmetic;
    return method;
}

}  // namespace cmsweep
