#include "documents.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <unordered_map>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kReportedProblems = 20;

/// Takes a record's text from the parser's events, without a document in between: time and memory stay in proportion to the
/// line, however many members it has and however deeply they are nested.
class RecordReader : public nlohmann::json_sax<nlohmann::json> {
public:
    /// Of a line that was read. Throws InputError without a place.
    std::string text() const {
        if (bare_) return *bare_;
        if (!is_object_) throw InputError("expected an object or a string");
        const auto known = places_.find("text");
        if (known != places_.end() && members_[known->second]) return *members_[known->second];
        std::string joined;
        bool found = false;
        for (const auto& member : members_) {
            if (!member) continue;
            if (found) joined += '\n';
            joined += *member;
            found = true;
        }
        if (!found) throw InputError("the record has no text: expected a \"text\" member or other string members");
        return joined;
    }

    bool null() override { return other(); }
    bool boolean(bool) override { return other(); }
    bool number_integer(number_integer_t) override { return other(); }
    bool number_unsigned(number_unsigned_t) override { return other(); }
    bool number_float(number_float_t, const string_t&) override { return other(); }
    bool binary(binary_t&) override { return other(); }
    bool string(string_t& value) override {
        if (depth_ == 0) bare_ = value;
        if (depth_ == 1 && is_object_) members_[member_] = std::move(value);
        return true;
    }
    bool start_object(std::size_t) override {
        if (depth_ == 0) is_object_ = true;
        other();
        ++depth_;
        return true;
    }
    bool start_array(std::size_t) override {
        other();
        ++depth_;
        return true;
    }
    bool end_object() override { return --depth_ >= 0; }
    bool end_array() override { return --depth_ >= 0; }
    bool key(string_t& name) override {
        if (depth_ > 1) return true;
        const auto [place, is_new] = places_.emplace(std::move(name), members_.size());
        if (is_new) members_.emplace_back();
        member_ = place->second;  // of a name that occurs twice the last value counts
        return true;
    }
    bool parse_error(std::size_t, const std::string&, const nlohmann::json::exception&) override { return false; }

private:
    bool other() {
        if (depth_ == 1 && is_object_) members_[member_].reset();
        return true;
    }

    std::ptrdiff_t depth_ = 0;
    bool is_object_ = false;
    std::optional<std::string> bare_;
    // In the file's order: a question should come before its answer.
    std::vector<std::optional<std::string>> members_;
    std::unordered_map<std::string, std::size_t> places_;
    std::size_t member_ = 0;
};

/// One line of a .jsonl file as text. Throws InputError without a place.
std::string record_text(std::string_view line) {
    RecordReader reader;
    if (!nlohmann::json::sax_parse(line, &reader)) throw InputError("not valid JSON: expected one JSON value a line");
    return reader.text();
}

std::vector<std::string> read_records(const std::filesystem::path& path, std::string_view text) {
    std::vector<std::string> records;
    std::vector<std::string> problems;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        try {
            records.push_back(record_text(line));
        } catch (const InputError& error) {
            problems.push_back(path.string() + ":" + std::to_string(number) + ": " + error.what());
            if (problems.size() == kReportedProblems) break;
        }
    }
    if (!problems.empty()) throw InputError(problems);
    return records;
}

}  // namespace

std::vector<std::string_view> cut_pieces(std::string_view text) {
    std::vector<std::string_view> pieces;
    while (text.size() > kLargestDocument) {
        const std::size_t newline = text.rfind('\n', kLargestDocument - 1);
        std::size_t cut = newline == std::string_view::npos ? kLargestDocument : newline + 1;
        if (newline == std::string_view::npos) {
            // Back to the start of a UTF-8 sequence, which is at most 3 bytes away in valid text.
            for (int i = 0; i < 3 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80; ++i) --cut;
        }
        pieces.push_back(text.substr(0, cut));
        text.remove_prefix(cut);
    }
    if (!text.empty()) pieces.push_back(text);
    return pieces;
}

std::vector<std::string> read_texts(const std::filesystem::path& path) {
    std::string text = read_text(path);
    if (path.extension() == ".jsonl") return read_records(path, text);
    std::vector<std::string> texts;
    texts.push_back(std::move(text));
    return texts;
}

DocumentSet read_documents(const std::vector<std::filesystem::path>& files) {
    std::vector<Document> found;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> neighbours;
    std::unordered_map<Id, std::uint32_t> index_of;
    std::vector<std::string> problems;
    DocumentSet set;
    for (const auto& file : files) {
        std::vector<std::string> texts;
        try {
            texts = read_texts(file);
        } catch (const InputError& error) {
            problems.insert(problems.end(), error.problems().begin(), error.problems().end());
            if (problems.size() >= kReportedProblems) break;
            continue;
        }
        for (const std::string& text : texts) {
            bool first = true;
            std::uint32_t previous = 0;
            for (const std::string_view piece : cut_pieces(text)) {
                const Id hash = hash_text(piece);
                const auto [known, is_new] = index_of.emplace(hash, static_cast<std::uint32_t>(found.size()));
                if (is_new) {
                    found.push_back({std::string(piece), hash});
                } else {
                    ++set.duplicates;
                }
                if (!first) neighbours.emplace_back(previous, known->second);
                previous = known->second;
                first = false;
            }
        }
    }
    if (!problems.empty()) throw InputError(problems);

    std::vector<std::uint32_t> order(found.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(), [&](auto a, auto b) { return found[a].hash < found[b].hash; });
    std::vector<std::uint32_t> place(found.size());
    set.documents.reserve(found.size());
    for (const std::uint32_t old : order) {
        place[old] = static_cast<std::uint32_t>(set.documents.size());
        set.documents.push_back(std::move(found[old]));
    }
    for (const auto& [a, b] : neighbours) set.neighbours.emplace_back(place[a], place[b]);
    return set;
}

}  // namespace cmsweep
