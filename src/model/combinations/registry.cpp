#include <stdexcept>
#include <string_view>
#include <utility>

#include "builders.hpp"
#include "cmsweep/base/error.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

using Builder = Combination (*)(const CombinationInput& input);

// Every method outside parameter space; those inside share one builder.
constexpr std::pair<std::string_view, Builder> kBuilders[] = {
    {"specialist", take_specialist},
    {"base", take_base},
    {"finetune_target", finetune_target},
    {"joint", joint},
    {"interpolate_features", interpolate_features},
    {"route", route},
    {"ensemble_logits", ensemble_logits},
    {"ensemble_probabilities", ensemble_probabilities},
    {"route_tokens", route_tokens},
    {"select_model", select_model},
};

// Parameter-space methods that learn from text before they merge.
constexpr std::pair<std::string_view, StatisticsFunction> kStatistics[] = {
    {"fisher", fisher_information},
    {"regmean", input_grams},
    {"learned_average", learned_coefficients},
    {"rebasin", unit_products},
};

void check(const CombinationInput& input) {
    if (!input.method || !input.base || !input.host || input.members.empty())
        throw std::invalid_argument("combine: a method, a base, a host and at least one member are needed");
    const auto& geometry = input.base->geometry();
    const auto fits = [&](const Parameters& network) { return network.geometry() == geometry; };
    if (!fits(*input.host)) throw InputError(input.method->name + ": the host's geometry is not the base's; combine models of one base");
    for (std::size_t i = 0; i < input.members.size(); ++i)
        if (!fits(*input.members[i]))
            throw InputError(input.method->name + ": the geometry of member " + std::to_string(i) +
                             " is not the base's; combine models of one base");
    const bool has_place = input.method->family != Family::output && input.method->family != Family::reference;
    if (has_place && (input.blocks.first < 0 || input.blocks.first > input.blocks.last || input.blocks.last >= geometry.blocks))
        throw InputError(input.method->name + ": layer " + std::to_string(input.blocks.first) + "-" +
                         std::to_string(input.blocks.last) + ": expected blocks from 0 to " + std::to_string(geometry.blocks - 1));
}

}  // namespace

StatisticsFunction statistics_of(const std::string& method) {
    for (const auto& [name, learn] : kStatistics)
        if (name == method) return learn;
    return nullptr;
}

Combination combine(const CombinationInput& input) {
    check(input);
    if (input.method->family == Family::parameter && input.method->merge) return merge_parameters(input);
    for (const auto& [name, build] : kBuilders)
        if (name == input.method->name) return build(input);
    throw std::invalid_argument("combine: no builder for method \"" + input.method->name + "\"");
}

}  // namespace cmsweep
