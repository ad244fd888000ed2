#pragma once

#include <fstream>
#include <string>

#include "../base/temporary_folder.hpp"

namespace cmsweep::fuzz {

/// One folder for the whole run of a format: its files are written over and over.
inline const std::filesystem::path& folder() {
    static const TemporaryFolder own;
    return own.path();
}

/// Writes without any care for durability.
inline std::filesystem::path put(const std::string& name, const std::string& bytes) {
    const auto path = folder() / name;
    std::ofstream(path, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return path;
}

/// Makes sure that a value is really computed.
template <typename T>
void use(const T& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

}  // namespace cmsweep::fuzz
