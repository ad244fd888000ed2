#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace cmsweep {

/// The ids of a token file: little-endian uint32 if its name ends in "uint32.bin" or ".u32", else uint16 (nanoGPT's
/// layout). Throws InputError: unreadable, empty, a size that is no whole number of ids.
std::vector<std::uint32_t> read_token_file(const std::filesystem::path& path);

}  // namespace cmsweep
