#include "cmsweep/base/tokenizer.hpp"

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>
#include <unordered_map>

#include "bpe_tokenizer.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "json_text.hpp"
#include "utf8.hpp"

namespace cmsweep {
namespace {

using nlohmann::json;

constexpr std::string_view kEndOfText = "<|endoftext|>";
constexpr std::uint64_t kLargestId = std::uint64_t{1} << 31;
constexpr std::size_t kReportedProblems = 20;

/// Text of a hostile file for a message: short, on one line.
std::string in_quotes(std::string_view text) {
    constexpr std::size_t kShown = 60;
    std::string shown = replace_invalid_utf8(text.substr(0, kShown));
    for (char& c : shown) {
        if (static_cast<unsigned char>(c) < 0x20) c = '?';
    }
    return '"' + shown + (text.size() > kShown ? "…\"" : "\"");
}

std::string shown(const json& value) {
    if (value.is_string()) return in_quotes(value.get_ref<const std::string&>());
    if (value.is_structured()) return value.is_array() ? "an array" : "an object";
    return value.dump();
}

/// Collects what is wrong with one tokenizer and builds its tables.
class Reader {
public:
    explicit Reader(std::string where) : where_(std::move(where)) {}

    void problem(const std::string& text) {
        if (problems_.size() < kReportedProblems) problems_.push_back(where_ + ": " + text);
    }

    void stop_if_wrong() const {
        if (!problems_.empty()) throw InputError(problems_);
    }

    void add_token(const std::string& text, const json& id, const std::string& place) {
        if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= kLargestId) {
            problem(place + "[" + in_quotes(text) + "] = " + shown(id) +
                    ": expected a whole number from 0 to 2147483647");
            return;
        }
        const auto number = id.get<std::uint32_t>();
        const auto [known, is_new] = ids_.emplace(text, number);
        if (!is_new) {
            if (known->second != number) {
                problem(place + ": " + in_quotes(text) + " has the ids " + std::to_string(known->second) + " and " +
                        std::to_string(number));
            }
            return;
        }
        const auto [other, is_free] = texts_.emplace(number, text);
        if (!is_free) {
            problem(place + ": id " + std::to_string(number) + " stands for both " + in_quotes(other->second) +
                    " and " + in_quotes(text));
        }
    }

    void add_vocabulary(const json& vocabulary, const std::string& place) {
        if (!vocabulary.is_object()) {
            problem(place + " is " + shown(vocabulary) + ": expected an object of tokens and their ids");
            return;
        }
        for (const auto& [text, id] : vocabulary.items()) add_token(text, id, place);
    }

    /// Call after the vocabulary is complete. A pair that occurs twice has its later rank, as in encoder.py's
    /// dictionary.
    void add_merge(const std::string& left, const std::string& right, const std::string& place) {
        const auto l = find(left);
        const auto r = find(right);
        const auto result = find(left + right);
        if (!l || !r || !result) {
            problem(place + ": " + in_quotes(!l ? left : !r ? right : left + right) + " is not in the vocabulary");
            return;
        }
        merges_.push_back({*l, *r, *result});
    }

    std::unique_ptr<Tokenizer> finish() {
        BpeTables tables;
        const auto alphabet = byte_alphabet();
        std::map<char32_t, unsigned char> bytes;
        for (std::size_t byte = 0; byte < 256; ++byte) {
            std::string symbol;
            append_utf8(symbol, alphabet[byte]);
            const auto id = find(symbol);
            if (!id)
                problem("the vocabulary lacks " + in_quotes(symbol) + ", the symbol of byte " + std::to_string(byte) +
                        ": expected byte-level BPE, which has all 256");
            tables.byte_tokens[byte] = id.value_or(0);
            bytes_of_symbol_.emplace(std::move(symbol), static_cast<char>(byte));
        }
        const auto end = find(std::string(kEndOfText));
        if (!end)
            problem("the vocabulary lacks " + std::string(kEndOfText) + ", the token that joins documents: add it");
        stop_if_wrong();
        tables.end_of_text = *end;
        for (const auto& [id, text] : texts_) tables.tokens.push_back({id, bytes_of(text)});
        tables.merges = last_of_each_pair();
        return std::make_unique<BpeTokenizer>(std::move(tables));
    }

private:
    std::optional<std::uint32_t> find(const std::string& text) const {
        const auto found = ids_.find(text);
        return found == ids_.end() ? std::nullopt : std::optional(found->second);
    }

    /// A token's bytes; an added token that is not written in the byte alphabet stands for its own text.
    std::string bytes_of(const std::string& text) const {
        std::string bytes;
        for (std::string_view rest = text; !rest.empty();) {
            const int length = utf8_sequence(rest);
            const auto found =
                bytes_of_symbol_.find(std::string(rest.substr(0, static_cast<std::size_t>(std::abs(length)))));
            if (found == bytes_of_symbol_.end()) return text;
            bytes += found->second;
            rest.remove_prefix(found->first.size());
        }
        return bytes;
    }

    std::vector<BpeTables::Merge> last_of_each_pair() const {
        std::map<std::pair<std::uint32_t, std::uint32_t>, std::size_t> last;
        for (std::size_t i = 0; i < merges_.size(); ++i) last[{merges_[i].left, merges_[i].right}] = i;
        std::vector<BpeTables::Merge> kept;
        for (std::size_t i = 0; i < merges_.size(); ++i) {
            if (last.at({merges_[i].left, merges_[i].right}) == i) kept.push_back(merges_[i]);
        }
        return kept;
    }

    std::string where_;
    std::vector<std::string> problems_;
    std::unordered_map<std::string, std::uint32_t> ids_;
    std::map<std::uint32_t, std::string> texts_;
    std::vector<BpeTables::Merge> merges_;
    std::unordered_map<std::string, char> bytes_of_symbol_;
};

/// `object[key]`, or null if there is none.
const json& member(const json& object, const char* key) {
    static const json kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

/// "a b" -> a, b; nothing if it has another form.
std::optional<std::pair<std::string, std::string>> split_merge(std::string_view text) {
    const std::size_t space = text.find(' ');
    if (space == std::string_view::npos || space == 0 || space + 1 == text.size()) return std::nullopt;
    if (text.find(' ', space + 1) != std::string_view::npos) return std::nullopt;
    return std::pair(std::string(text.substr(0, space)), std::string(text.substr(space + 1)));
}

void read_merges(Reader& reader, const json& merges) {
    if (!merges.is_array()) {
        reader.problem("model.merges is " + shown(merges) + ": expected an array");
        return;
    }
    for (std::size_t i = 0; i < merges.size(); ++i) {
        const json& merge = merges[i];
        const std::string place = "model.merges[" + std::to_string(i) + "]";
        std::optional<std::pair<std::string, std::string>> parts;
        if (merge.is_string()) {
            parts = split_merge(merge.get_ref<const std::string&>());
        } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            parts = std::pair(merge[0].get<std::string>(), merge[1].get<std::string>());
            if (parts->first.empty() || parts->second.empty()) parts.reset();
        }
        if (!parts) {
            reader.problem(place + " is " + shown(merge) + R"(: expected "a b" or ["a", "b"])");
            continue;
        }
        reader.add_merge(parts->first, parts->second, place);
    }
}

/// Everything that would make a tokenizer encode otherwise than GPT-2's is refused rather than ignored.
void check_kind(Reader& reader, const json& root) {
    const auto expect = [&](bool good, const std::string& name, const json& value, const std::string& expected) {
        if (!good)
            reader.problem(name + " = " + shown(value) + ": expected " + expected + ", as GPT-2's tokenizer has it");
    };
    const auto absent = [](const json& value) { return value.is_null() || value == ""; };
    const json& model = root["model"];
    const json& type = member(model, "type");
    expect(type.is_null() || type == "BPE", "model.type", type, "\"BPE\"");
    const json& dropout = member(model, "dropout");
    expect(dropout.is_null() || (dropout.is_number() && dropout.get<double>() == 0), "model.dropout", dropout, "null");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
        expect(absent(member(model, key)), std::string("model.") + key, member(model, key), "null");
    }
    const json& ignore_merges = member(model, "ignore_merges");
    expect(ignore_merges.is_null() || ignore_merges == false, "model.ignore_merges", ignore_merges, "false");
    expect(member(root, "normalizer").is_null(), "normalizer", member(root, "normalizer"), "null");

    const json& pre = member(root, "pre_tokenizer");
    const json& pre_type = pre.is_object() ? member(pre, "type") : pre;
    expect(pre_type == "ByteLevel", "pre_tokenizer.type", pre_type, "\"ByteLevel\"");
    if (pre.is_object()) {
        const json& prefix = member(pre, "add_prefix_space");
        expect(prefix == false, "pre_tokenizer.add_prefix_space", prefix, "false");
        const json& regex = member(pre, "use_regex");
        expect(regex.is_null() || regex == true, "pre_tokenizer.use_regex", regex, "true");
    }
}

/// Special tokens only get an id: in a document they are text like any other, so that no text can end a document.
void read_added_tokens(Reader& reader, const json& added) {
    if (added.is_null()) return;
    if (!added.is_array()) {
        reader.problem("added_tokens is " + shown(added) + ": expected an array");
        return;
    }
    for (std::size_t i = 0; i < added.size(); ++i) {
        const std::string place = "added_tokens[" + std::to_string(i) + "]";
        const json& token = added[i];
        if (!token.is_object() || !member(token, "content").is_string() || member(token, "content") == "") {
            reader.problem(place + ": expected an object with `id` and a `content` that is not empty");
            continue;
        }
        const auto& content = token["content"].get_ref<const std::string&>();
        if (member(token, "special") != true && content != kEndOfText) {
            reader.problem(
                place + " = " + in_quotes(content) +
                ": expected special tokens only; one that is matched in ordinary text is not GPT-2's tokenizer");
            continue;
        }
        reader.add_token(content, member(token, "id"), place);
    }
}

}  // namespace

std::unique_ptr<Tokenizer> parse_tokenizer_json(std::string_view text, const std::string& where) {
    json root = parse_json(text, where);
    if (!root.is_object() || !member(root, "model").is_object()) {
        throw InputError(where + ": has no object \"model\": expected Hugging Face's tokenizer.json");
    }
    Reader reader(where);
    check_kind(reader, root);
    reader.stop_if_wrong();
    reader.add_vocabulary(member(root["model"], "vocab"), "model.vocab");
    read_added_tokens(reader, member(root, "added_tokens"));
    reader.stop_if_wrong();
    read_merges(reader, member(root["model"], "merges"));
    return reader.finish();
}

std::unique_ptr<Tokenizer> parse_vocab_and_merges(std::string_view vocab_json, std::string_view merges_text,
                                                  const std::string& where) {
    Reader reader(where);
    reader.add_vocabulary(parse_json(vocab_json, where + "/vocab.json"), "vocab.json");
    reader.stop_if_wrong();
    for (std::size_t line = 1; !merges_text.empty(); ++line) {
        const std::size_t end = merges_text.find('\n');
        std::string_view text = merges_text.substr(0, end);
        merges_text.remove_prefix(end == std::string_view::npos ? merges_text.size() : end + 1);
        if (text.ends_with('\r')) text.remove_suffix(1);
        if (text.empty() || text.starts_with("#version")) continue;
        const std::string place = "merges.txt:" + std::to_string(line);
        const auto parts = split_merge(text);
        if (!parts) {
            reader.problem(place + ": " + in_quotes(text) + ": expected two symbols with a space between");
            continue;
        }
        reader.add_merge(parts->first, parts->second, place);
    }
    return reader.finish();
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& folder) {
    const auto present = [&](const char* name) {
        std::error_code ignored;  // what cannot be looked at is reported as missing
        return std::filesystem::exists(folder / name, ignored);
    };
    if (present("tokenizer.json")) {
        const auto path = folder / "tokenizer.json";
        return parse_tokenizer_json(read_text(path), path.string());
    }
    if (present("vocab.json") && present("merges.txt")) {
        return parse_vocab_and_merges(read_text(folder / "vocab.json"), read_text(folder / "merges.txt"),
                                      folder.string());
    }
    throw InputError(folder.string() + ": has no tokenizer: expected tokenizer.json, or vocab.json and merges.txt");
}

}  // namespace cmsweep
