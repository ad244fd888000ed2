#include "text_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace cmsweep {
namespace {

/// Columns a UTF-8 text takes, one per code point.
std::size_t columns_of(const std::string& text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool looks_numeric(const std::string& text) {
    return !text.empty() && (std::isdigit(static_cast<unsigned char>(text[0])) || text[0] == '-' || text[0] == '+' || text[0] == '[');
}

}  // namespace

void TextTable::print(std::ostream& out, const std::string& indent) const {
    std::vector<std::size_t> widths;
    for (const auto& cell : header_) widths.push_back(columns_of(cell));
    for (const auto& row : rows_) {
        for (std::size_t c = 0; c < row.size() && c < widths.size(); ++c) widths[c] = std::max(widths[c], columns_of(row[c]));
    }
    const auto line = [&](const std::vector<std::string>& cells, bool header) {
        std::string text = indent;
        for (std::size_t c = 0; c < cells.size() && c < widths.size(); ++c) {
            const std::string gap(widths[c] - columns_of(cells[c]), ' ');
            const bool right = !header && looks_numeric(cells[c]);
            text += right ? gap + cells[c] : cells[c] + gap;
            if (c + 1 < cells.size()) text += "  ";
        }
        while (!text.empty() && text.back() == ' ') text.pop_back();
        out << text << '\n';
    };
    line(header_, true);
    std::string rule = indent;
    for (std::size_t c = 0; c < widths.size(); ++c) rule += std::string(widths[c], '-') + (c + 1 < widths.size() ? "  " : "");
    out << rule << '\n';
    for (const auto& row : rows_) line(row, false);
}

std::string fixed(double value, int digits) {
    if (std::isnan(value)) return "-";
    char text[64];
    std::snprintf(text, sizeof text, "%.*f", digits, value);
    return text;
}

std::string short_count(double value) {
    if (std::isnan(value)) return "-";
    const char* units[] = {"", " k", " M", " G", " T", " P"};
    int unit = 0;
    while (std::abs(value) >= 1000 && unit < 5) {
        value /= 1000;
        ++unit;
    }
    char text[64];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.2f%s", value, units[unit]);
    return text;
}

}  // namespace cmsweep
