#include "cmsweep/core/setting.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "cmsweep/base/id.hpp"

namespace cmsweep {
namespace {

std::string quoted_list(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += '"' + words[i] + '"';
    }
    return text;
}

std::string number(double value) { return canonical_json(nlohmann::json(value)); }

bool in_range(const ParameterSpec& spec, double value) {
    if (!std::isfinite(value)) return false;
    if (spec.low_open ? value <= spec.low : value < spec.low) return false;
    if (spec.high_open ? value >= spec.high : value > spec.high) return false;
    return true;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), 0);
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
        }
    }
    return row[b.size()];
}

}  // namespace

std::string ParameterSpec::range() const {
    if (kind == Kind::boolean) return "true or false";
    if (kind == Kind::choice) return quoted_list(words);
    std::ostringstream text;
    if (kind == Kind::real_list) text << "a list of numbers, each ";
    else text << (kind == Kind::integer ? "an integer " : "a number ");
    if (std::isinf(low) && std::isinf(high)) text << "of any size";
    else if (std::isinf(high)) text << (low_open ? "> " : ">= ") << number(low);
    else text << "in " << (low_open ? '(' : '[') << number(low) << ", " << number(high) << (high_open ? ')' : ']');
    if (!words.empty()) text << " or " << quoted_list(words);
    return text.str();
}

std::optional<std::string> ParameterSpec::problem(const nlohmann::json& value) const {
    const auto unexpected = [&] { return "expected " + range(); };
    switch (kind) {
        case Kind::boolean:
            if (!value.is_boolean()) return unexpected();
            return std::nullopt;
        case Kind::choice:
            if (!value.is_string() || std::find(words.begin(), words.end(), value.get<std::string>()) == words.end()) {
                return unexpected();
            }
            return std::nullopt;
        case Kind::real_list:
            if (!value.is_array() || value.empty()) return unexpected();
            for (const auto& item : value) {
                if (!item.is_number() || !in_range(*this, item.get<double>())) return unexpected();
            }
            return std::nullopt;
        case Kind::real:
        case Kind::integer:
            if (value.is_string()) {
                if (std::find(words.begin(), words.end(), value.get<std::string>()) != words.end()) return std::nullopt;
                return unexpected();
            }
            if (!value.is_number() || !in_range(*this, value.get<double>())) return unexpected();
            if (kind == Kind::integer && value.get<double>() != std::floor(value.get<double>())) return unexpected();
            return std::nullopt;
    }
    return std::nullopt;
}

nlohmann::json complete_setting(std::span<const ParameterSpec> specs, const nlohmann::json& given) {
    nlohmann::json setting = nlohmann::json::object();
    for (const auto& spec : specs) {
        nlohmann::json value = given.contains(spec.name) ? given.at(spec.name) : spec.default_value;
        if (value.is_number()) {
            if (spec.kind == ParameterSpec::Kind::real) value = value.get<double>();
            if (spec.kind == ParameterSpec::Kind::integer) value = static_cast<std::int64_t>(value.get<double>());
        }
        setting[spec.name] = value;
    }
    return setting;
}

std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known) {
    std::optional<std::string> best;
    std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
    for (const auto& candidate : known) {
        const std::size_t distance = edit_distance(name, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace cmsweep
