#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

/// Locale-independent "%.<decimals>f".
std::string fixed(double value, int decimals) {
    std::array<char, 400> buffer;
    const auto end =
        std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, decimals).ptr;
    return {buffer.data(), end};
}

std::string two_digits(std::int64_t value) { return std::string(value < 10 ? "0" : "").append(std::to_string(value)); }

std::optional<double> parse_number(std::string_view text) {
    double value = 0;
    const auto* end = text.data() + text.size();
    if (text.empty() || text[0] < '0' || text[0] > '9') return {};  // no sign, no "inf", no "nan"
    const auto result = std::from_chars(text.data(), end, value, std::chars_format::fixed);
    if (result.ec != std::errc() || result.ptr != end || !std::isfinite(value)) return {};
    return value;
}

/// Slurm's D-HH[:MM[:SS]], HH:MM:SS and MM:SS; only the leading field may exceed its unit.
std::optional<double> parse_clock(std::string_view text) {
    std::vector<double> fields;  // days, hours, minutes, seconds
    const auto dash = text.find('-');
    const bool has_days = dash != std::string_view::npos;
    auto rest = has_days ? text.substr(dash + 1) : text;
    if (has_days) fields.push_back(parse_number(text.substr(0, dash)).value_or(-1));
    for (;;) {
        const auto colon = rest.find(':');
        fields.push_back(parse_number(rest.substr(0, colon)).value_or(-1));
        if (colon == std::string_view::npos) break;
        rest.remove_prefix(colon + 1);
    }
    if (fields.size() > (has_days ? 4U : 3U)) return {};
    if (has_days) {
        fields.resize(4, 0.0);
    } else {
        fields.insert(fields.begin(), 4 - fields.size(), 0.0);
    }
    constexpr std::array<double, 4> kSeconds = {86400, 3600, 60, 1};
    constexpr std::array<double, 4> kLimits = {HUGE_VAL, 24, 60, 60};
    double total = 0;
    bool leading = true;
    for (std::size_t i = 0; i < 4; ++i) {
        if (fields[i] < 0 || fields[i] != std::trunc(fields[i])) return {};
        if (!leading && fields[i] >= kLimits[i]) return {};
        leading = leading && fields[i] == 0;
        total += fields[i] * kSeconds[i];
    }
    return total;
}

}  // namespace

double parse_duration(std::string_view text) {
    std::optional<double> seconds;
    if (text.find_first_of(":-") != std::string_view::npos) {
        seconds = parse_clock(text);
    } else if (!text.empty()) {
        constexpr std::string_view kUnits = "smhd";
        constexpr std::array<double, 4> kSeconds = {1, 60, 3600, 86400};
        const auto unit = kUnits.find(text.back());
        seconds = parse_number(unit == std::string_view::npos ? text : text.substr(0, text.size() - 1));
        if (seconds && unit != std::string_view::npos) *seconds *= kSeconds[unit];
    }
    if (!seconds || !std::isfinite(*seconds)) {
        throw InputError("duration \"" + std::string(text) +
                         "\": expected seconds (90), a number with s, m, h or d (15m, 1.5h), or "
                         "[days-]hours:minutes:seconds (1-02:30:00)");
    }
    return *seconds;
}

std::string format_duration(double seconds) {
    if (!std::isfinite(seconds)) return "unknown";
    if (seconds < 0) return std::string("-").append(format_duration(-seconds));
    if (seconds < 0.9995) return fixed(seconds * 1000, 0) + " ms";
    if (seconds < 59.95) return fixed(seconds, 1) + " s";
    if (seconds >= 1e15) return fixed(seconds / 86400, 0) + " d";
    const auto whole = std::llround(seconds);
    if (whole < 3600) return std::to_string(whole / 60) + " min " + two_digits(whole % 60) + " s";
    const auto minutes = std::llround(seconds / 60);
    if (minutes < 24 * 60) return std::to_string(minutes / 60) + " h " + two_digits(minutes % 60) + " min";
    const auto hours = std::llround(seconds / 3600);
    return std::to_string(hours / 24) + " d " + two_digits(hours % 24) + " h";
}

std::string format_bytes(double bytes) {
    constexpr std::array<const char*, 7> kUnits = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (!std::isfinite(bytes)) return "unknown";
    if (bytes < 0) return std::string("-").append(format_bytes(-bytes));
    std::size_t unit = 0;
    // 1023.95 would print as 1024.0.
    while (unit + 1 < kUnits.size() && bytes >= (unit == 0 ? 1023.5 : 1023.95)) {
        bytes /= 1024;
        ++unit;
    }
    return fixed(bytes, unit == 0 ? 0 : 1) + " " + kUnits[unit];
}

}  // namespace cmsweep
