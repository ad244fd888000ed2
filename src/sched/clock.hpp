#pragma once

#include <chrono>

namespace cmsweep {

/// Seconds on a clock that never jumps.
inline double steady_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace cmsweep
