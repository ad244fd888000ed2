#include <algorithm>
#include <system_error>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

/// UTF-8 to code points, so that `?` is one character. A byte that is not UTF-8 becomes its own code above Unicode.
std::u32string characters(std::string_view text) {
    std::u32string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const std::size_t length = byte < 0x80 ? 1 : byte >> 5 == 6 ? 2 : byte >> 4 == 14 ? 3 : byte >> 3 == 30 ? 4 : 0;
        char32_t code = length == 1 ? byte : length == 0 ? 0 : byte & (0x7f >> length);
        bool whole = length > 0 && i + length <= text.size();
        for (std::size_t k = 1; whole && k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            whole = next >> 6 == 2;
            code = code << 6 | (next & 0x3f);
        }
        out += whole ? code : 0x200000 + byte;
        i += whole ? length : 1;
    }
    return out;
}

/// Does `pattern` match all of `text`? An item for which `is_star` holds matches any number of elements that it
/// `may_swallow`. Only the last star met is ever extended, so the time is at most |pattern| x |text|.
template <typename Pattern, typename Text, typename IsStar, typename MaySwallow, typename MatchesOne>
bool match_with_stars(const Pattern& pattern, const Text& text, IsStar is_star, MaySwallow may_swallow,
                      MatchesOne matches_one) {
    constexpr auto kNone = static_cast<std::size_t>(-1);
    std::size_t p = 0, t = 0, star = kNone, swallowed_to = 0;
    while (t < text.size() || p < pattern.size()) {
        if (p < pattern.size() && is_star(pattern[p])) {
            star = p++;
            swallowed_to = t;
        } else if (p < pattern.size() && t < text.size() && matches_one(pattern[p], text[t])) {
            ++p;
            ++t;
        } else if (star != kNone && swallowed_to < text.size() && may_swallow(text[swallowed_to])) {
            p = star + 1;
            t = ++swallowed_to;
        } else {
            return false;
        }
    }
    return true;
}

/// One character of a segment's pattern: a literal, `?`, `*` or a class.
struct Item {
    enum class Kind { literal, any, star, one_of, none_of } kind;
    std::vector<std::pair<char32_t, char32_t>> ranges;  // inclusive

    bool matches(char32_t c) const {
        const bool inside =
            std::any_of(ranges.begin(), ranges.end(), [&](const auto& r) { return r.first <= c && c <= r.second; });
        return kind == Kind::any || (kind == Kind::none_of ? !inside : inside);
    }
};

/// What stands between two slashes of a pattern.
struct Segment {
    std::string text;
    std::vector<Item> items;
    bool folders = false;  // `**`: any number of folders
    bool literal = true;   // no wildcard

    explicit Segment(std::string_view pattern) : text(pattern), folders(pattern == "**") {
        const auto code = characters(pattern);
        for (std::size_t i = 0; i < code.size(); ++i) {
            // `]` right after the bracket is a member; a bracket that never closes stands for itself.
            const bool negated = code[i] == '[' && i + 1 < code.size() && (code[i + 1] == '!' || code[i + 1] == '^');
            const auto first = i + (negated ? 2 : 1);
            const auto close = code[i] == '[' ? code.find(U']', first + 1) : std::u32string::npos;
            if (close != std::u32string::npos) {
                Item item{negated ? Item::Kind::none_of : Item::Kind::one_of, {}};
                for (auto k = first; k < close; ++k) {
                    const bool range = k + 2 < close && code[k + 1] == '-';
                    item.ranges.emplace_back(code[k], code[range ? k + 2 : k]);
                    if (range) k += 2;
                }
                items.push_back(std::move(item));
                i = close;
            } else if (code[i] == '*') {
                items.push_back({Item::Kind::star, {}});
            } else if (code[i] == '?') {
                items.push_back({Item::Kind::any, {}});
            } else {
                items.push_back({Item::Kind::literal, {{code[i], code[i]}}});
                continue;
            }
            literal = false;
        }
    }

    bool matches(std::string_view name) const {
        if (literal) return name == text;
        // As in the shell: a leading dot is matched by a dot only.
        if (name.starts_with('.') && !text.starts_with('.')) return false;
        return match_with_stars(
            items, characters(name), [](const Item& item) { return item.kind == Item::Kind::star; },
            [](char32_t) { return true; }, [](const Item& item, char32_t c) { return item.matches(c); });
    }
};

/// The parts between slashes; the first is empty for an absolute path, other empty ones are dropped.
std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> parts;
    for (std::size_t begin = 0; begin <= path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        if (end > begin || begin == 0) parts.push_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return parts;
}

std::vector<Segment> parse_pattern(std::string_view pattern) {
    std::vector<Segment> segments;
    for (const auto part : split(pattern)) {
        if (part == "**" && !segments.empty() && segments.back().folders) continue;
        segments.emplace_back(part);
    }
    if (!segments.empty() && segments.back().folders) segments.emplace_back("*");  // `a/**`: every file below a
    return segments;
}

std::vector<fs::directory_entry> entries(const fs::path& folder) {
    std::error_code error;
    std::vector<fs::directory_entry> found;
    const fs::path& listed = folder.empty() ? fs::path(".") : folder;
    for (fs::directory_iterator it(listed, error), end; !error && it != end; it.increment(error)) found.push_back(*it);
    // Not there, not a folder: nothing matches. Anything else would silently lose files.
    if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
        throw InputError("cannot list folder " + listed.string() + ": " + error.message() +
                         "; make it readable or narrow the pattern");
    }
    return found;
}

void walk(const fs::path& folder, std::span<const Segment> segments, std::vector<fs::path>& out) {
    const auto& segment = segments.front();
    const auto rest = segments.subspan(1);
    std::error_code ignored;
    if (segment.folders) {
        walk(folder, rest, out);
        for (const auto& entry : entries(folder)) {
            const auto name = entry.path().filename();
            const bool hidden = name.native().starts_with('.');
            if (!hidden && fs::is_directory(entry.symlink_status(ignored))) walk(folder / name, segments, out);
        }
        return;
    }
    const auto take = [&](const fs::path& path) {
        if (!rest.empty()) {
            walk(path, rest, out);
        } else if (fs::is_regular_file(path, ignored)) {
            out.push_back(path);
        }
    };
    if (segment.literal) {
        take(folder / segment.text);
        return;
    }
    for (const auto& entry : entries(folder)) {
        const auto name = entry.path().filename();
        if (segment.matches(name.native())) take(folder / name);
    }
}

}  // namespace

std::vector<fs::path> glob(const std::string& pattern) {
    std::vector<fs::path> found;
    auto segments = parse_pattern(pattern);
    const bool absolute = pattern.starts_with('/');
    if (absolute) segments.erase(segments.begin());
    if (!segments.empty()) walk(absolute ? "/" : "", segments, found);
    const auto by_bytes = [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); };
    std::sort(found.begin(), found.end(), by_bytes);
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
}

bool glob_matches(std::string_view pattern, std::string_view path) {
    return match_with_stars(
        parse_pattern(pattern), split(path), [](const Segment& segment) { return segment.folders; },
        [](std::string_view name) { return !name.starts_with('.'); },
        [](const Segment& segment, std::string_view name) { return segment.matches(name); });
}

}  // namespace cmsweep
