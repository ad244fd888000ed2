#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cmsweep/base/checkpoint.hpp"

namespace cmsweep {

/// A tensor's shape as config.json determines it: "[n_embd, 3 x n_embd] with n_embd = 64". Empty for an unknown name.
std::string shape_source(const Geometry& geometry, std::string_view tensor_name);

}  // namespace cmsweep
