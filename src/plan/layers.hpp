#pragma once

#include <optional>
#include <string_view>

#include "cmsweep/plan/config.hpp"

namespace cmsweep {

/// One entry of grid.layers: "all", "each" (whole_model false, first and last -1), "3", "0-5". Nothing if malformed.
std::optional<LayerSpec> parse_layer(std::string_view text);

inline constexpr const char* kLayerSyntax = R"("all", "each", a block index from 0 or a range like "0-5")";

}  // namespace cmsweep
