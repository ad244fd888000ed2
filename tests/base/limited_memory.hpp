#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <fstream>
#include <stdexcept>
#include <string>

namespace cmsweep {

/// AddressSanitizer's own memory counts as the process's, so that no limit can be set.
#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kMemoryCanBeLimited = false;
#else
inline constexpr bool kMemoryCanBeLimited = true;
#endif

/// From now on this process may take only so many bytes of memory of its own more than it has. Mapped files that are only
/// read do not count.
inline void limit_memory(std::size_t more) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        rlim_t kib = 0;
        if (word != "VmData:" || !(status >> kib)) continue;
        const rlimit limit{kib * 1024 + more, kib * 1024 + more};
        if (setrlimit(RLIMIT_DATA, &limit) == 0) return;
    }
    throw std::runtime_error("the memory cannot be limited");
}

}  // namespace cmsweep
