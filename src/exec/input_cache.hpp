#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/tokenizer.hpp"
#include "cmsweep/model/corpus.hpp"

namespace cmsweep {

/// What files said in earlier starts, so that the next one need not read, tokenise and hash gigabytes again. A file counts as
/// unchanged if its path, size, time of change and inode are; one that was changed in the seconds before it was read is not
/// remembered, since it may change again within the same tick of the clock. Writes nothing: what is new lies in learned().
class InputCache {
public:
    /// `folder`: <output>.d/cache; splits are taken from its tokens folder.
    explicit InputCache(std::filesystem::path folder) : folder_(std::move(folder)) {}

    Id digest(const Checkpoint& checkpoint);
    /// `tokenizer_folder`: empty for bytes.
    Corpus corpus(const CorpusSource& source, const Tokenizer* tokenizer, const std::filesystem::path& tokenizer_folder, std::int64_t gap);
    /// Share of the target's 13-grams that are in the training split.
    double overlap(const TokenSplit& training, const TokenSplit& target, const Tokenizer* tokenizer,
                   const std::filesystem::path& tokenizer_folder);
    /// New entries: files and their contents.
    const std::map<std::filesystem::path, std::string>& learned() const { return learned_; }

private:
    std::optional<nlohmann::json> find(const nlohmann::json& key) const;
    void remember(const nlohmann::json& key, const nlohmann::json& value);
    std::filesystem::path file_of(const nlohmann::json& key) const;

    std::filesystem::path folder_;
    std::map<std::filesystem::path, std::string> learned_;
};

}  // namespace cmsweep
