#pragma once

#include <span>
#include <vector>

namespace cmsweep {

/// out = sum of weights[i] x values[i] / sum of weights, elementwise; as many values as weights, all of out's size.
/// Members of weight 0 are skipped, so that a single one left is copied bit for bit.
void weighted_mean(std::span<const double> weights, std::span<const std::span<const float>> values, std::span<float> out);

}  // namespace cmsweep
