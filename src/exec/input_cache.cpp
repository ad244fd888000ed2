#include "input_cache.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/id.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

/// Raised when read_corpus(), Checkpoint::digest() or measure_overlap() come to other results for the same files.
constexpr int kVersion = 1;
/// File systems note times in steps of at most 2 s (FAT); clocks of file servers differ by less.
constexpr double kSettledSeconds = 5;

/// Spelled out, since JSON converts itself to nearly everything.
std::optional<nlohmann::json> some(nlohmann::json value) { return std::optional<nlohmann::json>(std::in_place, std::move(value)); }

/// Which state of the files this is, or nothing if that cannot be told.
std::optional<nlohmann::json> state_of(const std::vector<fs::path>& files) {
    nlohmann::json states = nlohmann::json::array();
    for (const auto& file : files) {
        struct stat status {};
        if (::stat(file.c_str(), &status) != 0) return std::nullopt;
        if (std::difftime(std::time(nullptr), status.st_mtim.tv_sec) < kSettledSeconds) return std::nullopt;
        states.push_back({file.string(), status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ino});
    }
    return some(std::move(states));
}

std::vector<fs::path> files_in(const fs::path& folder, std::initializer_list<const char*> extensions) {
    std::vector<fs::path> files;
    std::error_code missing;
    for (const auto& entry : fs::directory_iterator(folder, missing)) {
        const auto extension = entry.path().extension();
        if (std::any_of(extensions.begin(), extensions.end(), [&](const char* one) { return extension == one; })) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
}

/// Which tokens a text becomes.
std::optional<nlohmann::json> state_of_tokenizer(const fs::path& folder) {
    if (folder.empty()) return some("bytes");
    return state_of(files_in(folder, {".json", ".txt"}));
}

}  // namespace

fs::path InputCache::file_of(const nlohmann::json& key) const { return folder_ / "inputs" / (hash_json(key).hex() + ".json"); }

std::optional<nlohmann::json> InputCache::find(const nlohmann::json& key) const {
    const auto file = file_of(key);
    if (!fs::exists(file)) return std::nullopt;
    auto entry = nlohmann::json::parse(read_text(file), nullptr, false);
    if (!entry.is_object() || !entry.contains("value")) return std::nullopt;  // damaged: read anew
    return some(entry.at("value"));
}

void InputCache::remember(const nlohmann::json& key, const nlohmann::json& value) {
    learned_[file_of(key)] = nlohmann::json{{"key", key}, {"value", value}}.dump() + "\n";
}

Id InputCache::digest(const Checkpoint& checkpoint) {
    const auto files = state_of(files_in(checkpoint.folder(), {".json", ".safetensors"}));
    if (!files) return checkpoint.digest();
    const nlohmann::json key{{"checkpoint", *files}, {"version", kVersion}};
    if (const auto found = find(key)) {
        try {
            return found->get<Id>();
        } catch (const InputError&) {  // damaged: read anew
        } catch (const nlohmann::json::exception&) {
        }
    }
    const Id digest = checkpoint.digest();
    remember(key, digest.hex());
    return digest;
}

Corpus InputCache::corpus(const CorpusSource& source, const Tokenizer* tokenizer, const fs::path& tokenizer_folder, std::int64_t gap) {
    auto key = some({{"version", kVersion}, {"holdout", source.holdout}, {"gap", gap}});
    const auto add = [&](const char* name, const std::optional<nlohmann::json>& state) {
        if (!state) key.reset();
        if (key) (*key)[name] = *state;
    };
    try {
        add("tokenizer", tokenizer ? state_of_tokenizer(tokenizer_folder) : some(nullptr));
        for (const auto& [role, files] : corpus_files(source)) add(role.c_str(), state_of(files));
    } catch (const InputError&) {
        key.reset();  // read_corpus() says what is wrong
    }
    if (!key) return read_corpus(source, tokenizer, gap);

    if (const auto found = find(*key)) {
        try {
            Corpus corpus;
            corpus.name = source.name;
            corpus.files = found->at("files");
            corpus.documents = found->at("documents");
            corpus.duplicates = found->at("duplicates");
            for (const Split split : kSplits) {
                const auto& one = found->at("splits").at(static_cast<std::size_t>(split));
                auto& tokens = corpus.splits[static_cast<std::size_t>(split)];
                tokens = read_split(folder_ / "tokens", one.at("digest").get<Id>());
                tokens.documents = one.at("documents").get<std::vector<Id>>();
            }
            return corpus;
        } catch (const InputError&) {  // its tokens are gone: read anew
        } catch (const nlohmann::json::exception&) {
        }
    }
    Corpus corpus = read_corpus(source, tokenizer, gap);
    nlohmann::json splits = nlohmann::json::array();
    for (const auto& split : corpus.splits) splits.push_back({{"digest", split.digest}, {"documents", split.documents}});
    remember(*key, {{"files", corpus.files}, {"documents", corpus.documents}, {"duplicates", corpus.duplicates}, {"splits", splits}});
    return corpus;
}

double InputCache::overlap(const TokenSplit& training, const TokenSplit& target, const Tokenizer* tokenizer, const fs::path& tokenizer_folder) {
    const auto state = tokenizer ? state_of_tokenizer(tokenizer_folder) : some(nullptr);
    if (!state) return measure_overlap(training, target, tokenizer).share;
    const nlohmann::json key{{"overlap", {training.digest, target.digest}}, {"tokenizer", *state}, {"version", kVersion}};
    if (const auto found = find(key); found && found->is_number()) return found->get<double>();
    const double share = measure_overlap(training, target, tokenizer).share;
    remember(key, share);
    return share;
}

}  // namespace cmsweep
