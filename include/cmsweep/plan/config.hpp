#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/core/training.hpp"

// The config file as values. Paths are absolute after reading. `where` members hold "file:line: key" for later messages.
namespace cmsweep {

struct CorpusConfig {
    std::string name;
    std::vector<std::string> files, exclude;  ///< globs, absolute
    std::string tokens;
    double holdout = 0.1;
    std::vector<std::string> select_files, test_files;
    std::string select_tokens, test_tokens;
    std::string where;
};

struct ModelConfig {
    std::string checkpoint;            ///< folder, or empty: made from `geometry` by [pretrain]
    Geometry geometry;                 ///< only if checkpoint is empty; vocabulary is set from the tokenizer
    std::string tokenizer;             ///< "bytes", a folder, or empty: the checkpoint's own folder
    std::optional<TrainingConfig> pretrain;
    std::vector<std::string> pretrain_corpora;  ///< mixed equally
    std::string where;
};

struct SpecialistConfig {
    std::string name;
    std::string corpus;                              ///< fine-tuned from the base on it …
    std::map<std::int64_t, std::string> checkpoints; ///< … or loaded: degree -> folder (degree 0 is the base)
    TrainingConfig training;                         ///< [finetune] with this table's overrides
    std::string where;
};

/// A [[grid.method]] table with its arrays already multiplied out.
struct MethodConfig {
    std::string name;
    std::vector<nlohmann::json> settings;  ///< complete_setting() of each combination, in the order of the arrays
    std::string where;
};

struct LayerSpec {
    std::string name;         ///< "all", "3", "0-5", "none"
    std::int64_t first = -1;  ///< blocks, inclusive; "all": 0 … blocks-1; "none": -1
    std::int64_t last = -1;
    bool whole_model = false; ///< "all": with embeddings, final norm and head in parameter space
    bool operator==(const LayerSpec&) const = default;
};

struct GridConfig {
    bool all_pairs = false;
    std::vector<std::vector<std::string>> pairs;             ///< member names, "code#1" for a twin
    std::vector<std::vector<std::int64_t>> degrees;          ///< one entry: members alike; else one degree a member
    std::vector<std::string> layers;                         ///< as written; resolve_layers() knows the block count
    std::vector<std::string> targets;                        ///< corpus names
    std::string host = "first";                              ///< "first", "base" or a specialist's name
    std::vector<MethodConfig> methods;
    std::string where;
};

struct EvaluateConfig {
    std::int64_t windows = 256;  ///< -1: all
    std::int64_t context = 0;    ///< 0: the model's
};

struct MetricConfig {
    std::string name;
    nlohmann::json setting;  ///< complete
};

struct SimilarityConfig {
    bool present = false;              ///< is there a [similarity] table?
    std::vector<std::string> probes;   ///< corpus names; `probe` may be one name or a list
    std::int64_t windows = 256;        ///< -1: all
    std::int64_t context = 0;
    std::string pooling = "mean";      ///< "mean", "last", "token"
    std::vector<std::string> sites{"residual"};  ///< "residual", "mlp_output"; `site` may be one or a list
    std::vector<MetricConfig> metrics;
    bool cross = true;                 ///< layers = "cross" or "same"
    std::vector<std::string> against{"pair", "base"};  ///< also "self", "seeds"
    bool after_merge = true;
    int permutations = 20;
    std::string where;
};

struct RunConfig {
    std::string device = "auto";
    std::string precision = "float32";
    int threads_per_rank = 1;
    double commit_seconds = 5;
    bool keep_checkpoints = true;
    int retries = 1;
    double task_timeout = 7200;        ///< seconds
    double walltime = 0;               ///< seconds; 0: taken from Slurm, if any
    double grace = 60;                 ///< seconds before the end of the walltime at which the run begins to stop; at most a quarter of it
};

struct Config {
    std::filesystem::path file;
    std::string text;                  ///< the TOML as read
    std::string name;
    std::filesystem::path output;      ///< without suffix: <output>.h5 and <output>.d/
    std::vector<std::int64_t> seeds;
    ModelConfig model;
    std::vector<CorpusConfig> corpora;
    std::vector<SpecialistConfig> specialists;
    std::optional<GridConfig> grid;    ///< absent: the config only makes the base
    EvaluateConfig evaluate;
    SimilarityConfig similarity;
    RunConfig run;

    std::filesystem::path store_path() const;   ///< <output>.h5
    std::filesystem::path side_folder() const;  ///< <output>.d
    const CorpusConfig* find_corpus(std::string_view corpus_name) const;
    const SpecialistConfig* find_specialist(std::string_view specialist_name) const;  ///< without "#k"
};

/// Reads and checks everything that can be checked without opening corpora and checkpoints: syntax, unknown keys (with
/// the nearest known one), types, ranges, names that refer to nothing, degrees beyond the steps, duplicate names.
/// Throws InputError with all problems, each "file:line: key = value: expected …".
Config read_config(const std::filesystem::path& file);
Config parse_config(std::string_view toml, const std::filesystem::path& file);

/// The layers of the grid for a stack of `blocks` blocks: "each" becomes 0 … blocks-1; duplicates are dropped.
/// Throws InputError with every problem (index out of range, malformed range).
std::vector<LayerSpec> resolve_layers(const GridConfig& grid, std::int64_t blocks);

/// A member name: "code" -> {"code", 0}; "code#1" -> {"code", 1}; "base" -> {"base", 0}.
struct MemberName {
    std::string specialist;
    int twin = 0;
};
MemberName parse_member(std::string_view text);

}  // namespace cmsweep
