#include <Eigen/Core>
#include <cmath>

#include "methods.hpp"
#include "parameters.hpp"
#include "reductions.hpp"

namespace cmsweep {
namespace {

/// Members of weight > 0 whose tensor is not 0.
struct Directions {
    std::vector<std::size_t> member;
    Eigen::VectorXd share;  ///< their weights, summing to 1
    Eigen::VectorXd norm;
    Eigen::MatrixXd gram;  ///< inner products of the unit tensors
    double scale = 0;      ///< weighted mean of all members' norms, those of 0 included
};

Directions directions_of(const ParameterMergeInput& input, std::size_t tensor) {
    Directions made;
    std::vector<double> norms, shares;
    double all = 0;
    for (const double weight : input.weights) all += weight;
    for (std::size_t i = 0; i < input.members.size(); ++i) {
        if (input.weights[i] == 0) continue;
        const auto values = input.members[i][tensor];
        const double norm = std::sqrt(sum_of(values.size(), [&](std::size_t e) {
            return static_cast<double>(values[e]) * static_cast<double>(values[e]);
        }));
        made.scale += input.weights[i] / all * norm;
        if (norm == 0) continue;
        made.member.push_back(i);
        norms.push_back(norm);
        shares.push_back(input.weights[i]);
    }
    const auto n = static_cast<Eigen::Index>(made.member.size());
    made.norm = Eigen::Map<Eigen::VectorXd>(norms.data(), n);
    made.share = Eigen::Map<Eigen::VectorXd>(shares.data(), n);
    if (n > 0) made.share /= made.share.sum();
    made.gram = Eigen::MatrixXd::Identity(n, n);
    for (Eigen::Index i = 0; i < n; ++i) {
        const auto a = input.members[made.member[static_cast<std::size_t>(i)]][tensor];
        for (Eigen::Index j = i + 1; j < n; ++j) {
            const auto b = input.members[made.member[static_cast<std::size_t>(j)]][tensor];
            const double dot =
                sum_of(a.size(), [&](std::size_t e) { return static_cast<double>(a[e]) * static_cast<double>(b[e]); });
            made.gram(i, j) = made.gram(j, i) =
                dot / (norms[static_cast<std::size_t>(i)] * norms[static_cast<std::size_t>(j)]);
        }
    }
    return made;
}

/// The mean direction as coefficients of the unit tensors. It never leaves their span, so that the whole iteration runs
/// on their inner products, and the tensors themselves are read once before it and once after.
Eigen::VectorXd mean_direction(const Directions& directions, int iterations, double tolerance) {
    const auto n = directions.share.size();
    const auto& gram = directions.gram;
    const auto norm = [&](const Eigen::VectorXd& c) { return std::sqrt(std::max(0.0, c.dot(gram * c))); };
    Eigen::VectorXd mean = directions.share;
    const double length = norm(mean);
    if (length < tolerance)
        mean = Eigen::VectorXd::Unit(n, 0);
    else
        mean /= length;
    for (int iteration = 0; iteration < iterations; ++iteration) {
        const Eigen::VectorXd cosines = gram * mean;
        Eigen::VectorXd tangent = Eigen::VectorXd::Zero(n);
        for (Eigen::Index i = 0; i < n; ++i) {
            const double cosine = std::clamp(cosines[i], -1.0, 1.0);
            const double angle = std::acos(cosine);
            if (angle < tolerance) continue;
            const double sine = std::sin(angle);
            if (sine < 1e-12) continue;  // opposite: no direction to go
            tangent += directions.share[i] * angle / sine * (Eigen::VectorXd::Unit(n, i) - cosine * mean);
        }
        const double step = norm(tangent);
        if (step < tolerance) break;
        mean = std::cos(step) * mean + std::sin(step) / step * tangent;
        mean /= norm(mean);
    }
    return mean;
}

void karcher(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const int iterations = input.setting.at("iterations");
    const double tolerance = input.setting.at("tolerance");
    const auto weighted =
        std::count_if(input.weights.begin(), input.weights.end(), [](double weight) { return weight != 0; });
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        if (weighted == 1) {
            const auto only =
                std::find_if(input.weights.begin(), input.weights.end(), [](double weight) { return weight != 0; });
            std::ranges::copy(input.members[static_cast<std::size_t>(only - input.weights.begin())][tensor],
                              out[tensor].begin());
            continue;
        }
        const Directions directions = directions_of(input, tensor);
        if (directions.member.empty()) {
            std::ranges::fill(out[tensor], 0.0f);
            continue;
        }
        const Eigen::VectorXd factors =
            directions.scale * mean_direction(directions, iterations, tolerance).cwiseQuotient(directions.norm);
        for (std::size_t e = 0; e < out[tensor].size(); ++e) {
            double value = 0;
            for (std::size_t i = 0; i < directions.member.size(); ++i) {
                value += factors[static_cast<Eigen::Index>(i)] *
                         static_cast<double>(input.members[directions.member[i]][tensor][e]);
            }
            out[tensor][e] = static_cast<float>(value);
        }
    }
}

}  // namespace

MethodInfo karcher_method() {
    MethodInfo method;
    method.name = "karcher";
    method.family = Family::parameter;
    method.parameters = {
        parameter::weights(),
        parameter::integer("iterations", 1, 10'000, 10, "most steps of the fixed-point iteration"),
        parameter::real_above("tolerance", 0, 1, 1e-5, "angle in radians at which it stops"),
    };
    method.identities = {"equal_members", "parents", "symmetric"};
    method.summary =
        "Mean direction of the members on the sphere, each tensor as one vector, at the mean of their norms.";
    method.source = "Karcher 1977, Riemannian center of mass; iteration and scale as in mergekit's karcher";
    method.merge = karcher;
    return method;
}

}  // namespace cmsweep
