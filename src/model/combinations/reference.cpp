#include "builders.hpp"

namespace cmsweep {

Combination take_specialist(const CombinationInput& input) {
    Combination combination;
    combination.predictor = std::make_shared<NetworkPredictor>(input.members.front());
    return combination;
}

Combination take_base(const CombinationInput& input) {
    Combination combination;
    combination.predictor = std::make_shared<NetworkPredictor>(input.base);
    return combination;
}

}  // namespace cmsweep
