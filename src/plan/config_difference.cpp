#include "cmsweep/plan/config_difference.hpp"

#include <map>
#include <sstream>

#include <toml++/toml.h>

namespace cmsweep {
namespace {

using Flat = std::map<std::string, std::string>;

std::string printed(const toml::node& node) {
    std::ostringstream text;
    node.visit([&](const auto& value) { text << value; });
    return text.str();
}

void flatten(const toml::node& node, const std::string& key, Flat& out) {
    if (const auto* table = node.as_table()) {
        for (const auto& [name, child] : *table) flatten(child, key.empty() ? std::string(name.str()) : key + "." + std::string(name.str()), out);
    } else if (const auto* array = node.as_array(); array && array->is_array_of_tables()) {
        for (std::size_t i = 0; i < array->size(); ++i) flatten(*array->get(i), key + "[" + std::to_string(i) + "]", out);
    } else {
        out[key] = printed(node);
    }
}

}  // namespace

std::vector<std::string> config_differences(std::string_view before, std::string_view after) {
    Flat old_values, new_values;
    try {
        const toml::table old_table = toml::parse(before), new_table = toml::parse(after);
        flatten(old_table, "", old_values);
        flatten(new_table, "", new_values);
    } catch (const toml::parse_error&) {
        return {"one of the two configs is no TOML"};
    }
    std::vector<std::string> differences;
    for (const auto& [key, value] : old_values) {
        const auto found = new_values.find(key);
        if (found == new_values.end()) differences.push_back(key + ": " + value + " -> (absent)");
        else if (found->second != value) differences.push_back(key + ": " + value + " -> " + found->second);
    }
    for (const auto& [key, value] : new_values) {
        if (!old_values.count(key)) differences.push_back(key + ": (absent) -> " + value);
    }
    return differences;
}

}  // namespace cmsweep
