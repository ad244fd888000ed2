#include "token_file.hpp"

#include <bit>
#include <cstring>
#include <string>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {

static_assert(std::endian::native == std::endian::little, "token files are read as they lie in memory");

std::vector<std::uint32_t> read_token_file(const std::filesystem::path& path) {
    const std::string name = path.filename().string();
    const std::size_t width = name.ends_with("uint32.bin") || name.ends_with(".u32") ? 4 : 2;
    const MappedFile file(path);
    const auto bytes = file.bytes();
    if (bytes.empty()) throw InputError(path.string() + ": is empty: expected token ids");
    if (bytes.size() % width != 0) {
        throw InputError(path.string() + ": has " + std::to_string(bytes.size()) + " bytes, no multiple of " +
                         std::to_string(width) + ": expected little-endian uint" + std::to_string(8 * width) +
                         " ids (a name ending in uint32.bin or .u32 means uint32, any other uint16)");
    }
    std::vector<std::uint32_t> tokens(bytes.size() / width);
    if (width == 4) {
        std::memcpy(tokens.data(), bytes.data(), bytes.size());
    } else {
        for (std::size_t i = 0; i < tokens.size(); ++i) {
            std::uint16_t token = 0;
            std::memcpy(&token, bytes.data() + 2 * i, 2);
            tokens[i] = token;
        }
    }
    return tokens;
}

}  // namespace cmsweep
