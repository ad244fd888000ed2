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

nlohmann::json parse_json(std::string_view text, const std::string& where) {
    // What is done with a document later is recursive: writing, copying. The parser itself is not.
    constexpr int kMostDepth = 100;
    const auto shallow = [&](int depth, nlohmann::json::parse_event_t, const nlohmann::json&) {
        if (depth > kMostDepth) {
            throw InputError(where + ": brackets more than " + std::to_string(kMostDepth) + " deep within one another, expected a JSON file that is not nested so deeply");
        }
        return true;
    };
    try {
        return nlohmann::json::parse(text, shallow);
    } catch (const nlohmann::json::parse_error& error) {
        throw InputError(where + ": no valid JSON at byte " + std::to_string(error.byte) + " of " + std::to_string(text.size()));
    } catch (const nlohmann::json::exception& error) {  // a number beyond double
        throw InputError(where + ": no valid JSON: " + error.what());
    }
}

nlohmann::json read_json(const std::filesystem::path& path) {
    constexpr std::size_t kMost = 64 << 20;
    const MappedFile file(path);
    const auto bytes = file.bytes();
    if (bytes.size() > kMost) {
        throw InputError(path.string() + ": " + format_bytes(static_cast<double>(bytes.size())) +
                         ", expected a JSON file of at most " + format_bytes(kMost));
    }
    return parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path.string());
}

}  // namespace cmsweep
