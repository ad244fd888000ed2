#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <string>

#include "cmsweep/base/error.hpp"
#include "methods.hpp"
#include "parameters.hpp"

namespace cmsweep {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

void mean(const ParameterMergeInput& input, std::size_t tensor, std::span<float> out) {
    const double share = 1.0 / static_cast<double>(input.members.size());
    for (std::size_t e = 0; e < out.size(); ++e) {
        double sum = 0;
        for (const auto& member : input.members) sum += share * double{member[tensor][e]};
        out[e] = static_cast<float>(sum);
    }
}

/// (Sum G)^-1 Sum G W for a map whose input is on W's rows (Conv1D) or, not transposed, on its columns.
void regress(const ParameterMergeInput& input, std::size_t tensor, std::span<float> out) {
    const auto& info = input.tensors[tensor];
    const Eigen::Index rows = info.shape[0], columns = info.shape[1];
    const Eigen::Index inputs = info.transposed ? rows : columns, outputs = info.transposed ? columns : rows;
    const double off_diagonal = input.setting.at("off_diagonal");
    Eigen::MatrixXd gram_sum = Eigen::MatrixXd::Zero(inputs, inputs), right = Eigen::MatrixXd::Zero(inputs, outputs);
    for (std::size_t i = 0; i < input.members.size(); ++i) {
        Eigen::MatrixXd gram =
            Eigen::Map<const RowMatrix>(input.statistics[i][tensor].data(), inputs, inputs).cast<double>();
        const Eigen::VectorXd diagonal = gram.diagonal();
        gram *= off_diagonal;
        gram.diagonal() = diagonal;
        const Eigen::MatrixXd weight =
            Eigen::Map<const RowMatrix>(input.members[i][tensor].data(), rows, columns).cast<double>();
        if (info.transposed)
            right.noalias() += gram * weight;
        else
            right.noalias() += gram * weight.transpose();
        gram_sum += gram;
    }
    if (!gram_sum.allFinite()) throw NumericError("regmean: the inputs of " + info.name + " are not finite");
    const Eigen::LLT<Eigen::MatrixXd> factor(gram_sum);
    // The statistics are float32: what is singular in them shows as a condition beyond their seven digits.
    constexpr double kLeastCondition = 1e-7;
    if (factor.info() != Eigen::Success || factor.rcond() < kLeastCondition)
        throw NumericError("regmean: the Gram matrix of the inputs of " + info.name +
                           " is singular; use more windows or an off_diagonal below 1");
    const Eigen::MatrixXd solved = factor.solve(right);
    Eigen::Map<RowMatrix> result(out.data(), rows, columns);
    if (info.transposed)
        result = solved.cast<float>();
    else
        result = solved.transpose().cast<float>();
}

void regmean(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    for (std::size_t tensor = 0; tensor < out.size(); ++tensor) {
        input.safe_point();
        if (input.statistics[0][tensor].empty())
            mean(input, tensor, out[tensor]);
        else
            regress(input, tensor, out[tensor]);
    }
}

}  // namespace

MethodInfo regmean_method() {
    MethodInfo method;
    method.name = "regmean";
    method.family = Family::parameter;
    method.parameters = {
        parameter::integer("windows", 1, 1 << 20, 256, "windows of each member's own training text"),
        parameter::real("off_diagonal", 0, 1, 0.9, "factor of the Gram matrices' off-diagonal elements"),
        parameter::choice("train_on", {"specialists"}, "specialists", "each member's own training text"),
    };
    method.needs_text = true;
    method.draws = true;
    method.identities = {"equal_members", "symmetric"};
    method.summary =
        "Every linear map is the least-squares fit to the members' outputs on their own inputs; the rest is averaged.";
    method.source = "Jin et al. 2023 (arXiv:2212.09849), eq. 2 and section 3.3";
    method.merge = regmean;
    return method;
}

}  // namespace cmsweep
