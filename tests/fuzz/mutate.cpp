#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include <nlohmann/json.hpp>

#include "fuzz.hpp"

namespace cmsweep::fuzz {
namespace {

using nlohmann::json;

constexpr std::array<std::uint8_t, 12> kBytes = {0x00, 0x01, 0x7f, 0x80, 0xff, 0xc0, 0xed, '"', '\\', '\n', '[', '{'};
constexpr std::array<const char*, 24> kNumbers = {"0", "-0", "-1", "1", "2", "0.5", "1e999", "-1e999", "1e-999", "1e308", "2147483647", "2147483648", "-2147483649",
    "4294967295", "4294967296", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "18446744073709551615", "18446744073709551616",
    "9007199254740993", "123456789012345678901234567890", "nan", "inf"};
constexpr std::array<std::pair<const char*, const char*>, 6> kNests = {{{"[", "]"}, {"{\"a\":", "}"}, {"{", "}"}, {"(", ")"}, {"a.", ""}, {"a={", "}"}}};

/// A part of `text`: its start and a length that is short more often than not.
std::pair<std::size_t, std::size_t> part(const std::string& text, Draw& draw) {
    const std::size_t start = draw.below(text.size());
    return {start, std::min(text.size() - start, draw.length(std::max<std::size_t>(1, text.size())))};
}

std::string repeated(std::string_view unit, std::size_t times) {
    std::string text;
    times = std::min(times, kMostBytes / std::max<std::size_t>(1, unit.size()));
    for (std::size_t i = 0; i < times; ++i) text += unit;
    return text;
}

void write_number(std::string& file, Draw& draw) {
    const std::size_t width = std::size_t{1} << draw.below(4);
    if (file.size() < width) return;
    const std::size_t at = draw.below(file.size() - width + 1);
    std::uint64_t value = 0;
    std::memcpy(&value, file.data() + at, width);
    switch (draw.below(3)) {
        case 0: value = extreme_number(draw, file.size()); break;
        case 1: value += draw.below(33) - 16; break;
        default: value *= draw.below(5); break;
    }
    std::memcpy(file.data() + at, &value, width);
}

void write_text_number(std::string& file, Draw& draw) {
    const auto is_digit = [](unsigned char c) { return std::isdigit(c) != 0; };
    auto begin = std::find_if(file.begin() + static_cast<std::ptrdiff_t>(draw.below(file.size())), file.end(), is_digit);
    if (begin == file.end()) begin = std::find_if(file.begin(), file.end(), is_digit);
    const auto end = std::find_if_not(begin, file.end(), is_digit);
    file.replace(begin, end, draw.pick(kNumbers));
}

void mutate_once(std::string& file, Draw& draw, const std::vector<std::string>& seeds, const std::vector<std::string>& words) {
    const auto [start, length] = part(file, draw);
    switch (draw.below(16)) {
        case 0:
        case 1:
            if (!file.empty()) file[start] = static_cast<char>(file[start] ^ (1 << draw.below(8)));
            break;
        case 2:
            if (!file.empty()) file[start] = static_cast<char>(draw.once_in(2) ? draw.pick(kBytes) : draw.bits());
            break;
        case 3:
        case 4: write_number(file, draw); break;
        case 5:
        case 6: write_text_number(file, draw); break;
        case 7: file.resize(start); break;
        case 8: file.erase(start, length); break;
        case 9: file.insert(start, repeated(file.substr(start, length), draw.length(4096))); break;
        case 10: file.insert(draw.below(file.size() + 1), file.substr(start, length)); break;
        case 11: {
            const auto& other = draw.pick(seeds);
            const auto [from, count] = part(other, draw);
            file.replace(start, draw.once_in(2) ? length : 0, other, from, count);
            break;
        }
        case 12:
            if (!words.empty()) file.replace(start, draw.once_in(2) ? std::min<std::size_t>(length, 16) : 0, draw.pick(words));
            break;
        case 13: {
            const auto& [open, close] = draw.pick(kNests);
            const std::size_t depth = draw.length(kMostBytes);
            std::string nest = repeated(open, depth);
            if (draw.once_in(2)) nest += repeated(close, depth);
            file.insert(start, nest);
            break;
        }
        case 14: std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(start), length, static_cast<char>(draw.pick(kBytes))); break;
        default:
            for (std::size_t i = 0; i < length && i < 64; ++i) file[start + i] = static_cast<char>(draw.bits());
    }
    if (file.size() > kMostBytes) file.resize(kMostBytes);
}

/// All values of a document.
void collect(json& value, std::vector<json*>& out) {
    out.push_back(&value);
    if (!value.is_structured()) return;
    for (auto& inner : value) collect(inner, out);
}

json strange_value(Draw& draw) {
    switch (draw.below(12)) {
        case 0: return nullptr;
        case 1: return draw.once_in(2);
        case 2: return "";
        case 3: return std::string(draw.length(2000), 'x');
        case 4: return json::array();
        case 5: return json::object();
        case 6: return -1.5;
        case 7: return 1e300;
        case 8: return static_cast<std::int64_t>(extreme_number(draw, 100));
        case 9: return "\xc3\xa9\xf0\x9f\x98\x80 \x01";
        case 10: return std::string("a\0b", 3);
        default: return extreme_number(draw, 100);
    }
}

void mutate_json_once(json& root, Draw& draw) {
    std::vector<json*> values;
    collect(root, values);
    json& chosen = *draw.pick(values);
    switch (draw.below(6)) {
        case 0:
        case 1: chosen = strange_value(draw); break;
        case 2: chosen = json(*draw.pick(values)); break;
        case 3:
            if (chosen.is_object() && !chosen.empty()) {
                auto member = chosen.begin();
                std::advance(member, draw.below(chosen.size()));
                const json value = *member;
                const auto key = member.key();
                chosen.erase(member);
                if (draw.once_in(2)) chosen[draw.once_in(2) ? key + "x" : key.substr(0, key.size() / 2)] = value;
            } else if (chosen.is_array() && !chosen.empty()) {
                chosen.erase(draw.below(chosen.size()));
            }
            break;
        case 4:
            if (chosen.is_array()) {
                const json value = chosen.empty() ? strange_value(draw) : json(chosen[draw.below(chosen.size())]);
                for (std::size_t i = draw.length(64); i > 0; --i) chosen.push_back(value);
            } else if (chosen.is_number()) {
                chosen = extreme_number(draw, 100);
            } else if (chosen.is_string()) {
                auto text = chosen.get<std::string>();
                text.insert(draw.below(text.size() + 1), draw.pick(kNumbers));
                chosen = text;
            }
            break;
        default:
            for (std::size_t depth = draw.length(64); depth > 0; --depth) chosen = json::array({std::move(chosen)});
    }
}

}  // namespace

std::size_t Draw::length(std::size_t most) {
    // Evenly over the orders of magnitude.
    std::size_t bits = 0;
    while (bits < 63 && most >> bits > 1) ++bits;
    const std::size_t top = std::size_t{1} << below(bits + 1);
    return std::min(most, top + below(top));
}

std::uint64_t extreme_number(Draw& draw, std::size_t size) {
    constexpr std::array<std::uint64_t, 18> kExtremes = {0, 1, 2, 3, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff'ffff, 0x8000'0000, 0xffff'ffff,
        0x1'0000'0000, 0x7fff'ffff'ffff'ffff, 0x8000'0000'0000'0000, 0xffff'ffff'ffff'fffe, 0xffff'ffff'ffff'ffff};
    if (draw.once_in(3)) return size + draw.below(5) - 2;
    if (draw.once_in(4)) return std::uint64_t{1} << draw.below(64);
    return draw.pick(kExtremes);
}

void mutate_bytes(std::string& file, Draw& draw, const std::vector<std::string>& seeds, const std::vector<std::string>& words) {
    for (std::size_t count = draw.length(6); count > 0; --count) mutate_once(file, draw, seeds, words);
}

void mutate_json(std::string& text, Draw& draw) {
    auto root = json::parse(text, nullptr, false);
    if (root.is_discarded()) return;
    for (std::size_t count = draw.length(4); count > 0; --count) mutate_json_once(root, draw);
    // Deeper than a document can be handled here, so only in its text.
    const std::string nest = "nest";
    const bool deep = draw.once_in(8);
    if (deep) {
        std::vector<json*> values;
        collect(root, values);
        *draw.pick(values) = nest;
    }
    text = root.dump(-1, ' ', false, json::error_handler_t::replace);
    if (deep) {
        const auto depth = draw.length(kMostBytes / 12);
        const bool objects = draw.once_in(2);
        text.replace(text.find('"' + nest + '"'), nest.size() + 2, repeated(objects ? "{\"a\":" : "[", depth) + "1" + repeated(objects ? "}" : "]", depth));
    }
    // JSON has no way to write these, but files have.
    if (draw.once_in(8)) {
        const auto digit = text.find_first_of("0123456789", draw.below(text.size()));
        if (digit != std::string::npos) text.replace(digit, 1, draw.pick(kNumbers));
    }
}

}  // namespace cmsweep::fuzz
