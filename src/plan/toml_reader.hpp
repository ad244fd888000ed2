#pragma once

#include <toml++/toml.h>

#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Typed access to a TOML document that collects problems instead of stopping at the first.
namespace cmsweep {

/// A value with the key that leads to it ("grid.method[1].density") and the line it stands on.
struct Place {
    const toml::node* node = nullptr;
    std::string path;
    std::uint32_t line = 0;
};

/// The problems of one file, in the order of its lines.
class Problems {
public:
    explicit Problems(std::string file) : file_(std::move(file)) {}

    /// "file:line: path = value: what"
    void add(const Place& place, const std::string& what);
    /// "file:line: path: what"
    void add(std::uint32_t line, const std::string& path, const std::string& what);
    /// "file:line: path", for messages of those who read the values later.
    std::string where(std::uint32_t line, const std::string& path) const;
    const std::string& file() const { return file_; }
    bool empty() const { return lines_.empty(); }
    /// Throws InputError if there are any; after the first hundred only their number is given.
    void throw_if_any() const;

private:
    std::string file_;
    std::multimap<std::uint32_t, std::string> lines_;
};

/// Range of a number, and words allowed instead of one.
struct NumberRange {
    double low = 0;
    double high = std::numeric_limits<double>::infinity();
    bool low_open = false;
    bool high_open = false;
};

/// Parses a document. Syntax errors, a document over 4 MiB and one nested so deeply that recursion over it could
/// exhaust the stack become InputError.
toml::table parse_toml(std::string_view text, const std::string& file);

/// A value as people would write it, cut after 60 bytes.
std::string describe(const toml::node& node);
/// Numbers, strings, booleans and arrays of them as JSON; dates and tables, which no parameter takes, as null.
nlohmann::json to_json_value(const toml::node& node);

std::optional<std::string> read_text(const Place& place, Problems& problems,
                                     const std::string& expected = "a text in quotes");
std::optional<std::string> read_word(const Place& place, Problems& problems, std::span<const std::string> words);
/// An integer (or a number without fraction) in [low, high].
std::optional<std::int64_t> read_integer(const Place& place, Problems& problems, std::int64_t low, std::int64_t high);
std::optional<double> read_real(const Place& place, Problems& problems, const NumberRange& range);
std::optional<bool> read_boolean(const Place& place, Problems& problems);
/// The entries of a list; none, and a problem, if it is no list or empty.
std::vector<Place> read_list(const Place& place, Problems& problems, const std::string& expected);
/// The entries of a list, or the value itself if it is none.
std::vector<Place> read_one_or_list(const Place& place, Problems& problems, const std::string& expected);

/// " (did you mean "x"?)" or nothing.
std::string suggestion(std::string_view name, std::span<const std::string> known);

/// One table. Each key that was asked for is known; finish() reports all others.
class TableReader {
public:
    /// `line` is used where the table itself has none (tables that other headers imply).
    TableReader(const toml::table& table, std::string path, Problems& problems, std::uint32_t line = 0);

    /// The value of a key, if it is there.
    std::optional<Place> find(const std::string& key);
    bool has(const std::string& key) { return find(key).has_value(); }
    /// Reads a key into `out`, which stays as it is if the key is missing or wrong. True if it was read.
    bool text(const std::string& key, std::string& out, const std::string& expected = "a text in quotes");
    bool word(const std::string& key, std::string& out, const std::vector<std::string>& words);
    bool integer(const std::string& key, std::int64_t& out, std::int64_t low, std::int64_t high);
    bool real(const std::string& key, double& out, const NumberRange& range);
    bool boolean(const std::string& key, bool& out);
    /// One text or a list of them.
    bool texts(const std::string& key, std::vector<std::string>& out,
               const std::string& expected = "a text in quotes or a list of them");
    /// A table; an array of tables, with an index in their paths.
    std::optional<TableReader> table(const std::string& key);
    std::vector<TableReader> tables(const std::string& key);

    /// A required key that is not there.
    void missing(const std::string& key, const std::string& expected);
    /// A problem of the table as a whole.
    void problem(const std::string& what) { problems_->add(line_, path_, what); }
    /// Reports keys that nobody asked for, with the nearest of those that somebody did; `only_near`: reports only keys
    /// that have such a nearest one, for a table of which not all keys are known.
    void finish(bool only_near = false);

    const std::string& path() const { return path_; }
    std::uint32_t line() const { return line_; }
    std::string where() const { return problems_->where(line_, path_); }
    Problems& problems() { return *problems_; }
    const toml::table& node() const { return *table_; }

private:
    std::string path_of(std::string_view key) const;

    const toml::table* table_;
    std::string path_;
    std::uint32_t line_;
    Problems* problems_;
    std::set<std::string> known_;
};

}  // namespace cmsweep
