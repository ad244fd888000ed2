#include "cmsweep/base/checkpoint.hpp"

#include "folder.hpp"
#include "fuzz.hpp"

namespace cmsweep::fuzz {
namespace {

using nlohmann::json;

const Geometry kGeometry{.blocks = 1, .width = 4, .heads = 2, .context = 4, .vocabulary = 8, .inner = 16};

/// Tensors of the network in two shards, and the index of which is where.
json write_shards(const std::filesystem::path& where) {
    const auto specs = tensor_specs(kGeometry);
    json weights;
    std::vector<std::vector<float>> values;
    for (const auto& spec : specs) values.emplace_back(static_cast<std::size_t>(spec.elements()), 0.5F);
    for (std::size_t shard = 0; shard < 2; ++shard) {
        const std::string name = "model-0000" + std::to_string(shard) + ".safetensors";
        std::vector<TensorToWrite> tensors;
        for (std::size_t i = shard; i < specs.size(); i += 2) {
            tensors.push_back({specs[i].name, "F32", specs[i].shape, std::as_bytes(std::span(values[i]))});
            weights[specs[i].name] = name;
        }
        write_safetensors(where / name, tensors);
    }
    return {{"metadata", {{"total_size", 1000}}}, {"weight_map", weights}};
}

void use_whole(const Checkpoint& checkpoint) {
    for (const auto& spec : tensor_specs(checkpoint.geometry())) {
        std::vector<float> values(static_cast<std::size_t>(spec.elements()));
        checkpoint.read(spec, values);
    }
    use(checkpoint.digest());
}

std::vector<std::string> config_seeds() {
    write_shards(folder());
    write_atomically(folder() / "model.safetensors.index.json", write_shards(folder()).dump());
    auto second = geometry_to_json(kGeometry);
    second["n_inner"] = 16;
    second["resid_pdrop"] = 0.1;
    second["scale_attn_weights"] = true;
    return {geometry_to_json(kGeometry).dump(), second.dump(1)};
}

void read_config_json(const std::string& text) {
    put("config.json", text);
    use_whole(Checkpoint(folder()));
}

std::vector<std::string> index_seeds() {
    write_atomically(folder() / "config.json", geometry_to_json(kGeometry).dump());
    return {write_shards(folder()).dump()};
}

void read_index(const std::string& text) {
    put("model.safetensors.index.json", text);
    use_whole(Checkpoint(folder()));
}

}  // namespace

std::vector<Format> checkpoint_formats() {
    return {{"config_json", config_seeds, read_config_json, mutate_json, {"\"n_layer\":", "\"n_inner\":null", "\"gelu\"", "4096", "16777216", "null", "true"}},
            {"index_json", index_seeds, read_index, mutate_json, {"\"weight_map\":", "\"transformer.wte.weight\":", "\"model-00001.safetensors\"", "\"..\"", "\"/dev/zero\"", "\"config.json\""}}};
}

}  // namespace cmsweep::fuzz
