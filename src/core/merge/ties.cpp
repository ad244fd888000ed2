#include "consensus.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "trim.hpp"

namespace cmsweep {
namespace {

void ties(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const std::string reference = input.setting.at("reference");
    const auto scope = reference == "mergekit" ? MagnitudeTrim::Scope::tensor : MagnitudeTrim::Scope::model;
    ConsensusRule rule;
    rule.mean = reference != "fusionbench";
    rule.zero_is_positive = reference == "mergekit";
    rule.lambda = input.setting.at("lambda").is_null() ? (reference == "fusionbench" ? 0.3 : 1.0)
                                                       : input.setting.at("lambda").get<double>();
    const PlainTau plain(input);
    const MagnitudeTrim trimmed(input, plain, input.setting.at("density"), scope);
    merge_by_consensus(input, trimmed, rule, out);
}

}  // namespace

MethodInfo ties_method() {
    MethodInfo method;
    method.name = "ties";
    method.family = Family::parameter;
    method.version = 2;
    method.parameters = {
        parameter::real_above("density", 0, 1, 0.2, "share of each task vector that is kept, the largest magnitudes"),
        parameter::real("lambda", 0, 100, nullptr, "scale of the merged task vector; default 1, \"fusionbench\" 0.3"),
        parameter::weights(),
        parameter::choice("reference", {"paper", "fusionbench", "mergekit"}, "paper",
                          "paper: trim over the whole model, mean of those that agree; fusionbench: their sum; "
                          "mergekit: trim per tensor, weighted mean"),
    };
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "Task vectors are trimmed to their largest entries, a sign is elected for each parameter, and those that agree "
        "are averaged.";
    method.source = "Yadav et al. 2023, TIES-Merging (arXiv:2306.01708), algorithm 1";
    method.merge = ties;
    return method;
}

}  // namespace cmsweep
