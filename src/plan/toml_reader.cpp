#include "toml_reader.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/setting.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kMaxBytes = 4 << 20;
constexpr int kMaxBrackets = 32;             // [ and { within one another
constexpr int kMaxKeyParts = 32;             // a.b.c has three
constexpr std::size_t kMaxEntries = 10'000;  // of a list: names are compared each with each
constexpr std::size_t kMaxTables = 1'000;    // of one kind

bool is_bare(std::string_view key) {
    return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    });
}

std::string quote(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// At most 60 bytes, not cut inside a UTF-8 character.
std::string shorten(std::string text) {
    constexpr std::size_t kMax = 60;
    if (text.size() <= kMax) return text;
    std::size_t end = kMax;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    return text.substr(0, end) + "…";
}

std::string join(std::span<const std::string> words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > 0) text += i + 1 == words.size() ? " or " : ", ";
        text += quote(words[i]);
    }
    return text;
}

/// toml++ builds tables for dotted keys without a limit on their parts, and frees them by recursion, so depth is
/// bounded before it sees the text: brackets within one another, and parts of one key, outside strings and comments.
class DepthScan {
public:
    DepthScan(std::string_view text, const std::string& file) : text_(text), file_(file) {}

    void run() {
        for (; at_ < text_.size(); ++at_) {
            const char c = text_[at_];
            if (c == '\n') ++line_;
            if (c == '"' || c == '\'')
                skip_string(c);
            else if (c == '#')
                skip_comment();
            else if (c == '[' || c == '{')
                deeper(brackets_, kMaxBrackets, "brackets within one another");
            else if (c == ']' || c == '}')
                brackets_ = std::max(0, brackets_ - 1);
            else if (c == '.')
                deeper(dots_, kMaxKeyParts, "parts of one key");
            if (c == '\n' || c == ',' || c == '=' || c == '[' || c == '{') dots_ = 0;
        }
    }

private:
    void deeper(int& depth, int limit, const char* of_what) const {
        if (++depth > limit) {
            throw InputError(file_ + ":" + std::to_string(line_) + ": more than " + std::to_string(limit) + " " +
                             of_what + ": no key of a configuration lies that deep");
        }
    }
    void skip_comment() {
        while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') ++at_;
    }
    void skip_string(char mark) {
        const std::string three(3, mark);
        const bool many_lines = text_.substr(at_, 3) == three;
        at_ += many_lines ? 3 : 1;
        for (; at_ < text_.size(); ++at_) {
            if (text_[at_] == '\n') {
                ++line_;
                if (!many_lines) return;
            }
            if (text_[at_] == '\\' && mark == '"')
                ++at_;
            else if (many_lines ? text_.substr(at_, 3) == three : text_[at_] == mark) {
                if (many_lines) at_ += 2;
                // Up to two more marks belong to the text: four quotes close a text that ends in one.
                for (int extra = 0; many_lines && extra < 2 && at_ + 1 < text_.size() && text_[at_ + 1] == mark;
                     ++extra)
                    ++at_;
                return;
            }
        }
    }

    std::string_view text_;
    const std::string& file_;
    std::size_t at_ = 0;
    int line_ = 1;
    int brackets_ = 0;
    int dots_ = 0;
};

bool is_whole(double value) {
    return std::isfinite(value) && value == std::floor(value) && std::abs(value) < 9007199254740992.0;
}

}  // namespace

void Problems::add(const Place& place, const std::string& what) {
    lines_.emplace(place.line, where(place.line, place.path) + " = " + describe(*place.node) + ": " + what);
}

void Problems::add(std::uint32_t line, const std::string& path, const std::string& what) {
    lines_.emplace(line, where(line, path) + ": " + what);
}

std::string Problems::where(std::uint32_t line, const std::string& path) const {
    std::string text = file_;
    if (line > 0) text += ':' + std::to_string(line);
    if (!path.empty()) text += ": " + path;
    return text;
}

void Problems::throw_if_any() const {
    constexpr std::size_t kMost = 100;
    if (lines_.empty()) return;
    std::vector<std::string> lines;
    for (const auto& [number, line] : lines_) {
        if (lines.size() == kMost) {
            lines.push_back(file_ + ": and " + std::to_string(lines_.size() - kMost) + " more problems");
            break;
        }
        lines.push_back(line);
    }
    throw InputError(std::move(lines));
}

toml::table parse_toml(std::string_view text, const std::string& file) {
    if (text.size() > kMaxBytes) {
        throw InputError(file + ": " + std::to_string(text.size()) +
                         " bytes, expected a configuration of at most 4 MiB");
    }
    DepthScan(text, file).run();
    try {
        return toml::parse(text, file);
    } catch (const toml::parse_error& error) {
        throw InputError(file + ":" + std::to_string(error.source().begin.line) + ": " +
                         std::string(error.description()));
    }
}

std::string describe(const toml::node& node) {
    if (const auto* text = node.as_string()) return shorten(quote(text->get()));
    if (const auto* value = node.as_integer()) return std::to_string(value->get());
    if (const auto* value = node.as_boolean()) return value->get() ? "true" : "false";
    if (const auto* value = node.as_floating_point()) {
        if (std::isnan(value->get())) return "nan";
        if (std::isinf(value->get())) return value->get() > 0 ? "inf" : "-inf";
        return nlohmann::json(value->get()).dump();
    }
    if (const auto* array = node.as_array()) {
        std::string text = "[";
        for (std::size_t i = 0; i < array->size() && text.size() < 64; ++i)
            text += (i > 0 ? ", " : "") + describe((*array)[i]);
        return shorten(text + "]");
    }
    if (node.is_table()) return "a table";
    return "a date or time";
}

nlohmann::json to_json_value(const toml::node& node) {
    if (const auto* text = node.as_string()) return text->get();
    if (const auto* value = node.as_integer()) return value->get();
    if (const auto* value = node.as_floating_point()) return value->get();
    if (const auto* value = node.as_boolean()) return value->get();
    if (const auto* array = node.as_array()) {
        nlohmann::json list = nlohmann::json::array();
        for (const auto& item : *array) list.push_back(to_json_value(item));
        return list;
    }
    return nullptr;
}

std::optional<std::string> read_text(const Place& place, Problems& problems, const std::string& expected) {
    const auto* text = place.node->as_string();
    if (text == nullptr || text->get().empty()) {
        problems.add(place, "expected " + expected);
        return std::nullopt;
    }
    return text->get();
}

std::optional<std::string> read_word(const Place& place, Problems& problems, std::span<const std::string> words) {
    const auto* text = place.node->as_string();
    if (text == nullptr || std::find(words.begin(), words.end(), text->get()) == words.end()) {
        problems.add(place, "expected " + join(words));
        return std::nullopt;
    }
    return text->get();
}

std::optional<std::int64_t> read_integer(const Place& place, Problems& problems, std::int64_t low, std::int64_t high) {
    std::optional<std::int64_t> value;
    if (const auto* whole = place.node->as_integer()) value = whole->get();
    if (const auto* real = place.node->as_floating_point(); real != nullptr && is_whole(real->get())) {
        value = static_cast<std::int64_t>(real->get());
    }
    if (value && *value >= low && *value <= high) return value;
    problems.add(place, "expected an integer in [" + std::to_string(low) + ", " + std::to_string(high) + "]");
    return std::nullopt;
}

std::optional<double> read_real(const Place& place, Problems& problems, const NumberRange& range) {
    ParameterSpec spec;
    spec.low = range.low;
    spec.high = range.high;
    spec.low_open = range.low_open;
    spec.high_open = range.high_open;
    const auto value = to_json_value(*place.node);
    if (const auto problem = spec.problem(value)) {
        problems.add(place, *problem);
        return std::nullopt;
    }
    return value.get<double>();
}

std::optional<bool> read_boolean(const Place& place, Problems& problems) {
    if (const auto* value = place.node->as_boolean()) return value->get();
    problems.add(place, "expected true or false");
    return std::nullopt;
}

std::vector<Place> read_list(const Place& place, Problems& problems, const std::string& expected) {
    const auto* array = place.node->as_array();
    if (array == nullptr || array->empty()) {
        problems.add(place, "expected " + expected);
        return {};
    }
    return read_one_or_list(place, problems, expected);
}

std::vector<Place> read_one_or_list(const Place& place, Problems& problems, const std::string& expected) {
    const auto* array = place.node->as_array();
    if (array == nullptr) return {place};
    if (array->empty()) problems.add(place, "expected " + expected);
    if (array->size() > kMaxEntries) {
        problems.add(place,
                     std::to_string(array->size()) + " entries, expected at most " + std::to_string(kMaxEntries));
        return {};
    }
    std::vector<Place> items;
    for (std::size_t i = 0; i < array->size(); ++i) {
        const auto& node = (*array)[i];
        const auto line = node.source().begin.line;
        items.push_back({&node, place.path + '[' + std::to_string(i) + ']', line > 0 ? line : place.line});
    }
    return items;
}

std::string suggestion(std::string_view name, std::span<const std::string> known) {
    if (name.size() > 200) return "";
    const auto nearest = nearest_name(name, known);
    return nearest ? " (did you mean " + quote(*nearest) + "?)" : "";
}

TableReader::TableReader(const toml::table& table, std::string path, Problems& problems, std::uint32_t line)
    : table_(&table), path_(std::move(path)), line_(table.source().begin.line), problems_(&problems) {
    if (line_ == 0) line_ = line;
}

std::string TableReader::path_of(std::string_view key) const {
    const std::string name = is_bare(key) ? std::string(key) : shorten(quote(key));
    return path_.empty() ? name : path_ + '.' + name;
}

std::optional<Place> TableReader::find(const std::string& key) {
    known_.insert(key);
    const auto found = table_->find(key);
    if (found == table_->end()) return std::nullopt;
    const auto line = found->first.source().begin.line;
    return Place{&found->second, path_of(key), line > 0 ? line : line_};
}

bool TableReader::text(const std::string& key, std::string& out, const std::string& expected) {
    const auto place = find(key);
    const auto value = place ? read_text(*place, *problems_, expected) : std::nullopt;
    if (value) out = *value;
    return value.has_value();
}

bool TableReader::word(const std::string& key, std::string& out, const std::vector<std::string>& words) {
    const auto place = find(key);
    const auto value = place ? read_word(*place, *problems_, words) : std::nullopt;
    if (value) out = *value;
    return value.has_value();
}

bool TableReader::integer(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high) {
    const auto place = find(key);
    const auto value = place ? read_integer(*place, *problems_, low, high) : std::nullopt;
    if (value) out = *value;
    return value.has_value();
}

bool TableReader::real(const std::string& key, double& out, const NumberRange& range) {
    const auto place = find(key);
    const auto value = place ? read_real(*place, *problems_, range) : std::nullopt;
    if (value) out = *value;
    return value.has_value();
}

bool TableReader::boolean(const std::string& key, bool& out) {
    const auto place = find(key);
    const auto value = place ? read_boolean(*place, *problems_) : std::nullopt;
    if (value) out = *value;
    return value.has_value();
}

bool TableReader::texts(const std::string& key, std::vector<std::string>& out, const std::string& expected) {
    const auto place = find(key);
    if (!place) return false;
    std::vector<std::string> values;
    const auto items = read_one_or_list(*place, *problems_, expected);
    for (const auto& item : items) {
        if (auto value = read_text(item, *problems_, expected)) values.push_back(std::move(*value));
    }
    if (values.empty() || values.size() < items.size()) return false;
    out = std::move(values);
    return true;
}

std::optional<TableReader> TableReader::table(const std::string& key) {
    const auto place = find(key);
    if (!place) return std::nullopt;
    if (const auto* table = place->node->as_table()) return TableReader(*table, place->path, *problems_, place->line);
    problems_->add(*place, "expected a table: write [" + place->path + "] once");
    return std::nullopt;
}

std::vector<TableReader> TableReader::tables(const std::string& key) {
    const auto place = find(key);
    if (!place) return {};
    const auto* array = place->node->as_array();
    std::vector<TableReader> readers;
    if (array != nullptr && array->size() > kMaxTables) {
        problems_->add(place->line, place->path,
                       std::to_string(array->size()) + " tables, expected at most " + std::to_string(kMaxTables));
        return {};
    }
    if (array != nullptr) {
        for (std::size_t i = 0; i < array->size(); ++i) {
            const auto* table = (*array)[i].as_table();
            if (table == nullptr) break;
            readers.emplace_back(*table, place->path + '[' + std::to_string(i) + ']', *problems_, place->line);
        }
    }
    if (array == nullptr || array->size() != readers.size()) {
        problems_->add(*place, "expected tables: write [[" + place->path + "]] before each");
        return {};
    }
    return readers;
}

void TableReader::missing(const std::string& key, const std::string& expected) {
    problems_->add(line_, path_of(key), "missing, expected " + expected);
}

void TableReader::finish(bool only_near) {
    const std::vector<std::string> known(known_.begin(), known_.end());
    for (auto&& [key, value] : *table_) {
        if (known_.contains(std::string(key.str()))) continue;
        const auto line = key.source().begin.line;
        const auto near = suggestion(key.str(), known);
        if (!only_near || !near.empty())
            problems_->add(line > 0 ? line : line_, path_of(key.str()), "unknown key" + near);
    }
}

}  // namespace cmsweep
