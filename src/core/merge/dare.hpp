#pragma once

#include "blocks.hpp"
#include "draws.hpp"

namespace cmsweep {

/// DARE with the draws given: what the registry's row runs with stream_draws().
void dare(const ParameterMergeInput& input, const DrawSource& draws, std::span<const std::span<float>> out);

}  // namespace cmsweep
