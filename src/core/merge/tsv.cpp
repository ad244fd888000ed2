#include "methods.hpp"
#include "parameters.hpp"
#include "svd.hpp"

namespace cmsweep {
namespace {

/// The leading r / N singular triples of every task vector, side by side, their factors made orthogonal.
Matrix merged_delta(const ParameterMergeInput& input, std::size_t tensor, Eigen::Index kept_each) {
    const std::string& name = input.tensors[tensor].name;
    std::vector<Svd> parts;
    Eigen::Index total = 0;
    for (std::size_t i = 0; i < input.members.size(); ++i) {
        input.safe_point();
        parts.push_back(decompose(tau_matrix(input, i, tensor), "tsv: task vector of " + name));
        total += std::min(kept_each, parts.back().values.size());
    }
    const auto& shape = input.tensors[tensor].shape;
    Matrix left(shape[0], total), right(shape[1], total);
    Eigen::VectorXd values(total);
    Eigen::Index at = 0;
    for (const auto& part : parts) {
        const Eigen::Index kept = std::min(kept_each, part.values.size());
        left.middleCols(at, kept) = part.left.leftCols(kept);
        right.middleCols(at, kept) = part.right.leftCols(kept);
        values.segment(at, kept) = part.values.head(kept);
        at += kept;
    }
    if (total == 0) return Matrix::Zero(shape[0], shape[1]);
    input.safe_point();
    return nearest_orthogonal(left, "tsv: left factors of " + name) * values.asDiagonal() *
           nearest_orthogonal(right, "tsv: right factors of " + name).transpose();
}

void tsv(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double lambda = input.setting.at("lambda");
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        const auto& shape = input.tensors[tensor].shape;
        const auto kept_each =
            shape.size() == 2 ? std::min(shape[0], shape[1]) / static_cast<std::int64_t>(input.members.size()) : 0;
        if (kept_each == 0)
            write_mean(input, tensor, lambda, out[tensor]);
        else
            write_matrix(input, tensor, lambda * merged_delta(input, tensor, kept_each), out[tensor]);
    }
}

}  // namespace

MethodInfo tsv_method() {
    MethodInfo method;
    method.name = "tsv";
    method.family = Family::parameter;
    method.parameters = {parameter::real("lambda", 0, 100, 1.0, "scale of the merged task vector")};
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "Each task matrix is cut to its leading 1/N singular triples; all members' singular vectors are made "
        "orthogonal and summed. "
        "Vectors, and matrices with fewer singular values than members, are averaged.";
    method.source = "Gargiulo et al. 2025, Task singular vectors (arXiv:2412.00081), TSV-Merge, algorithm 1";
    method.merge = tsv;
    return method;
}

}  // namespace cmsweep
