#pragma once

#include "merge_case.hpp"

namespace cmsweep {

/// Merges with what a method learned from text: statistics[member][tensor].
inline std::vector<std::vector<float>> merge_with(const MergeCase& given, const std::string& name, const nlohmann::json& setting,
                                                  const std::vector<std::vector<std::vector<float>>>& statistics) {
    const MethodInfo* method = find_method(name);
    ParameterMergeInput input;
    input.tensors = given.tensors;
    input.base = MergeCase::view(given.base);
    for (const auto& member : given.members) input.members.push_back(MergeCase::view(member));
    for (const auto& member : statistics) input.statistics.push_back(MergeCase::view(member));
    input.setting = complete_setting(method->parameters, setting);
    input.weights = member_weights(input.setting, given.members.size());
    std::vector<std::vector<float>> out;
    for (const auto& values : given.base) out.emplace_back(values.size());
    const std::vector<std::span<float>> spans(out.begin(), out.end());
    nlohmann::json notes;
    method->merge(input, spans, notes);
    return out;
}

}  // namespace cmsweep
