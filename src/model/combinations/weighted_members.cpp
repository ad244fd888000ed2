#include "weighted_members.hpp"

#include <numeric>

#include "cmsweep/core/merge/weights.hpp"

namespace cmsweep {

std::vector<WeightedMember> weighted_members(const CombinationInput& input) {
    const auto weights = member_weights(input.setting, input.members.size());
    const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
    std::vector<WeightedMember> kept;
    for (std::size_t i = 0; i < weights.size(); ++i)
        if (weights[i] != 0) kept.push_back({input.members[i], weights[i] / sum});
    return kept;
}

}  // namespace cmsweep
