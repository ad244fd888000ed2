#include "cmsweep/core/merge/weights.hpp"

#include <algorithm>
#include <string>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

bool given(const nlohmann::json& setting, const char* key) {
    return setting.contains(key) && !setting.at(key).is_null();
}

}  // namespace

std::vector<double> member_weights(const nlohmann::json& setting, std::size_t members) {
    const bool has_alpha = given(setting, "alpha");
    const bool has_weights = given(setting, "weights");
    if (has_alpha && has_weights) {
        throw InputError(
            "alpha and weights are both given; alpha is the first of two members' weight, weights lists all: leave one "
            "out");
    }
    if (has_alpha) {
        if (members != 2) {
            throw InputError("alpha is the first of two members' weight, but there are " + std::to_string(members) +
                             " members: give weights, one a member");
        }
        const double alpha = setting.at("alpha");
        return {alpha, 1.0 - alpha};
    }
    if (has_weights) {
        const auto weights = setting.at("weights").get<std::vector<double>>();
        if (weights.size() != members) {
            throw InputError("weights has " + std::to_string(weights.size()) +
                             " entries, expected one for each of the " + std::to_string(members) + " members");
        }
        if (std::all_of(weights.begin(), weights.end(), [](double weight) { return weight == 0; })) {
            throw InputError("weights are all 0; at least one must be larger");
        }
        return weights;
    }
    return std::vector<double>(members, 1.0 / static_cast<double>(members));
}

}  // namespace cmsweep
