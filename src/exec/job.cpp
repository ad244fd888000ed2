#include "cmsweep/exec/job.hpp"

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/safetensors.hpp"

namespace cmsweep {

namespace fs = std::filesystem;

namespace {

/// Is this file there with all that its header announces? One that was cut short is as good as none: it is made again.
bool whole(const fs::path& file) {
    if (!fs::exists(file)) return false;
    try {
        SafetensorsFile{file};
        return true;
    } catch (const InputError&) {
        return false;
    }
}

}  // namespace

fs::path Job::tokens_folder() const { return fs::path(side_folder) / "cache" / "tokens"; }

fs::path Job::checkpoint_file(const Id& model) const {
    return fs::path(side_folder) / "checkpoints" / (model.hex() + ".safetensors");
}

fs::path Job::base_checkpoint() const {
    return base_folder.empty() ? fs::path(side_folder) / "base" / base.hex() : fs::path(base_folder);
}

fs::path Job::features_file(const Id& features) const {
    return fs::path(side_folder) / "cache" / "features" / (features.hex() + ".safetensors");
}

fs::path Job::partial_file(const Id& result) const {
    return fs::path(side_folder) / "partial" / (result.hex() + ".state");
}

bool Job::exists(const Id& asset) const {
    if (asset == base && !base_folder.empty()) return true;
    if (asset == base) return whole(base_checkpoint() / "model.safetensors");
    return whole(checkpoint_file(asset)) || whole(features_file(asset));
}

void to_json(nlohmann::json& json, const Job& job) {
    json = {{"geometry", job.geometry},
            {"base", job.base},
            {"base_folder", job.base_folder},
            {"tokenizer_folder", job.tokenizer_folder},
            {"side_folder", job.side_folder},
            {"precision", job.precision},
            {"device", job.device},
            {"context", job.context},
            {"keep_checkpoints", job.keep_checkpoints}};
}

void from_json(const nlohmann::json& json, Job& job) {
    json.at("geometry").get_to(job.geometry);
    json.at("base").get_to(job.base);
    json.at("base_folder").get_to(job.base_folder);
    json.at("tokenizer_folder").get_to(job.tokenizer_folder);
    json.at("side_folder").get_to(job.side_folder);
    json.at("precision").get_to(job.precision);
    json.at("device").get_to(job.device);
    json.at("context").get_to(job.context);
    json.at("keep_checkpoints").get_to(job.keep_checkpoints);
}

}  // namespace cmsweep
