#include "json_text.hpp"

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {

std::string shown(const nlohmann::json& value) {
    constexpr std::size_t kMost = 100;
    auto text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    if (text.size() > kMost) text.replace(kMost - 3, std::string::npos, "...");
    return text;
}

nlohmann::json read_json(const std::filesystem::path& path) {
    constexpr std::size_t kMost = 64 << 20;
    const MappedFile file(path);
    const auto bytes = file.bytes();
    if (bytes.size() > kMost) {
        throw InputError(path.string() + ": " + format_bytes(static_cast<double>(bytes.size())) +
                         ", expected a JSON file of at most " + format_bytes(kMost));
    }
    const auto* begin = reinterpret_cast<const char*>(bytes.data());
    try {
        return nlohmann::json::parse(begin, begin + bytes.size());
    } catch (const nlohmann::json::parse_error& error) {
        throw InputError(path.string() + ": no valid JSON at byte " + std::to_string(error.byte) + " of " +
                         std::to_string(bytes.size()));
    } catch (const nlohmann::json::exception& error) {  // a number beyond double
        throw InputError(path.string() + ": no valid JSON: " + error.what());
    }
}

}  // namespace cmsweep
