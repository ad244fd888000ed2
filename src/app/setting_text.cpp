#include "setting_text.hpp"

#include <nlohmann/json.hpp>

namespace cmsweep {
namespace {

nlohmann::json parse(const std::string& canonical) {
    auto json = nlohmann::json::parse(canonical, nullptr, false);
    return json.is_object() ? json : nlohmann::json::object();
}

}  // namespace

SettingText::SettingText(const std::vector<ExperimentRow>& rows) {
    std::set<std::pair<std::string, std::string>> settings;
    for (const auto& row : rows) settings.emplace(row.method, row.setting);
    for (const auto& [method, canonical] : settings) {
        const auto json = parse(canonical);
        for (const auto& [key, value] : json.items()) values_[method][key].insert(value.dump());
    }
}

std::string SettingText::operator()(const std::string& method, const std::string& canonical) const {
    const auto known = values_.find(method);
    std::string text;
    const auto json = parse(canonical);
    for (const auto& [key, value] : json.items()) {
        if (value.is_null() || known == values_.end() || known->second.at(key).size() < 2) continue;
        if (!text.empty()) text += ", ";
        text += key;
        text += ' ';
        text += value.is_string() ? value.get<std::string>() : value.dump();
    }
    return text;
}

}  // namespace cmsweep
