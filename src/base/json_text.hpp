#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cmsweep {

/// `value` for an error message: one line of at most 100 characters, control characters escaped.
std::string shown(const nlohmann::json& value);

/// A JSON text, nested at most 100 deep so that recursion over it cannot exhaust the stack. Throws InputError: `where`, position,
/// what was expected.
nlohmann::json parse_json(std::string_view text, const std::string& where);

/// A JSON file of at most 64 MiB. Throws InputError: path, position, what was expected.
nlohmann::json read_json(const std::filesystem::path& path);

}  // namespace cmsweep
