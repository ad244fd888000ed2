#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/id.hpp"

namespace cmsweep {

/// What every rank holds besides its tasks: where things are and how to compute. Broadcast once as JSON.
struct Job {
    Geometry geometry;
    Id base;
    std::string base_folder;    ///< loaded base; empty: made by a task
    std::string tokenizer_folder;  ///< copied beside made checkpoints; may be empty
    std::string side_folder;    ///< <output>.d
    std::string precision = "float32";
    std::string device = "cpu";    ///< kind all ranks agreed on
    std::int64_t context = 0;      ///< of training windows of combinations
    bool keep_checkpoints = true;

    std::filesystem::path tokens_folder() const;                 ///< tokenised splits, <digest>.tokens
    std::filesystem::path checkpoint_file(const Id& model) const;   ///< a specialist at one degree, as a difference to the base
    std::filesystem::path base_checkpoint() const;               ///< folder of the base, loaded or made
    std::filesystem::path features_file(const Id& features) const;
    std::filesystem::path partial_file(const Id& result) const;  ///< state of a long task that was stopped
    /// Is this asset (a checkpoint, a made base, a representation) on disk?
    bool exists(const Id& asset) const;
};

void to_json(nlohmann::json& json, const Job& job);
void from_json(const nlohmann::json& json, Job& job);

}  // namespace cmsweep
