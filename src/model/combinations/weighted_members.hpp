#pragma once

#include <memory>
#include <vector>

#include "cmsweep/model/combination.hpp"

namespace cmsweep {

struct WeightedMember {
    std::shared_ptr<const Parameters> parameters;
    double weight;  ///< of all that are kept together: 1
};

/// The members that the setting's `alpha` or `weights` leave with a weight; those with weight 0 are never run, so that
/// parents come back exactly.
std::vector<WeightedMember> weighted_members(const CombinationInput& input);

}  // namespace cmsweep
