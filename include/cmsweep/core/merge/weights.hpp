#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

namespace cmsweep {

/// The members' weights w_i of a setting, as the config gave them: `alpha` is the first's of two members ({alpha,
/// 1 - alpha}); `weights` has one entry a member and is not normalised; with neither, each is 1 / members. Keys that a
/// method lacks, or that are null, count as not given. Throws InputError: both given, alpha for other than two members,
/// another number of weights than members, or all of them zero.
std::vector<double> member_weights(const nlohmann::json& setting, std::size_t members);

}  // namespace cmsweep
