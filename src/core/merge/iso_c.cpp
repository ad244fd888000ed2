#include "methods.hpp"
#include "parameters.hpp"
#include "svd.hpp"

namespace cmsweep {
namespace {

void iso_c(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double lambda = input.setting.at("lambda");
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        if (input.tensors[tensor].shape.size() != 2) {
            write_mean(input, tensor, lambda, out[tensor]);
            continue;
        }
        Matrix sum = tau_matrix(input, 0, tensor);
        for (std::size_t i = 1; i < input.members.size(); ++i) sum += tau_matrix(input, i, tensor);
        const Svd svd = decompose(sum, "iso_c: summed task vector of " + input.tensors[tensor].name);
        const double mean = svd.full > 0 ? svd.values.sum() / static_cast<double>(svd.full) : 0;
        write_matrix(input, tensor, lambda * mean * svd.left * svd.right.transpose(), out[tensor]);
    }
}

}  // namespace

MethodInfo iso_c_method() {
    MethodInfo method;
    method.name = "iso_c";
    method.family = Family::parameter;
    method.parameters = {parameter::real("lambda", 0, 100, 1.0, "scale of the merged task vector")};
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "The sum of the task matrices with all singular values replaced by their mean; vectors are averaged.";
    method.source =
        "Marczak et al. 2025, No task left behind: isotropic model merging (arXiv:2502.04959), Iso-C, equation 4";
    method.merge = iso_c;
    return method;
}

}  // namespace cmsweep
