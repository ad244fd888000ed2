#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"
#include "cmsweep/base/safetensors.hpp"

namespace cmsweep {

/// The shape of a GPT-2 network.
struct Geometry {
    std::int64_t blocks = 0;
    std::int64_t width = 0;
    std::int64_t heads = 0;
    std::int64_t context = 0;     ///< n_positions
    std::int64_t vocabulary = 0;  ///< rows of the token embedding
    std::int64_t inner = 0;       ///< MLP width, 4 x width unless n_inner says otherwise
    std::string activation = "gelu";  ///< "gelu" (erf form) or "gelu_new" (tanh form, GPT-2's own)
    double layer_norm_epsilon = 1e-5;
    bool tied = true;  ///< the head is the token embedding
    bool operator==(const Geometry&) const = default;
};

/// A tensor that a network of some geometry has: its name without the `transformer.` prefix, its shape.
struct TensorSpec {
    std::string name;
    std::vector<std::int64_t> shape;
    bool operator==(const TensorSpec&) const = default;
    std::int64_t elements() const;
};

/// Every tensor of a GPT-2 of this geometry, in the network's order: wte.weight, wpe.weight, h.0.ln_1.weight, …,
/// ln_f.weight, ln_f.bias and, unless tied, lm_head.weight. Linear weights are Conv1D's: [in, out].
std::vector<TensorSpec> tensor_specs(const Geometry& geometry);

/// Block index of `h.<i>.…`, or -1.
std::int64_t block_of(std::string_view tensor_name);
/// True for `h.<i>.mlp.…`.
bool is_mlp(std::string_view tensor_name);

/// Hugging Face's config.json for GPT-2. Throws InputError (another model_type, a missing or impossible value).
Geometry parse_geometry(const nlohmann::json& config, const std::string& where);
nlohmann::json geometry_to_json(const Geometry& geometry);  ///< a config.json that transformers accepts
void to_json(nlohmann::json& json, const Geometry& geometry);  ///< all fields, for messages between ranks
void from_json(const nlohmann::json& json, Geometry& geometry);

/// A checkpoint in Hugging Face's layout: config.json and model.safetensors, or model.safetensors.index.json with
/// shards. Names are accepted with and without `transformer.`; stored attention masks (`h.<i>.attn.bias`,
/// `attn.masked_bias`) are ignored; a stored head that equals the token embedding bit for bit counts as tied.
class Checkpoint {
public:
    /// Opens and checks everything against config.json. Throws InputError with every problem (missing tensor, wrong shape, …;
    /// tensors of the network that the config does not have, and a tied config beside another head, are refused too).
    explicit Checkpoint(const std::filesystem::path& folder);

    const std::filesystem::path& folder() const { return folder_; }
    const Geometry& geometry() const { return geometry_; }
    /// Reads one tensor (name without prefix) as float32. `out` has spec.elements() values.
    void read(const TensorSpec& spec, std::span<float> out) const;
    /// Hash of geometry and of every tensor's float32 values in the order of tensor_specs: independent of file layout, sharding and names' prefix.
    Id digest() const;

private:
    struct Place {
        std::size_t file;
        TensorEntry entry;
    };
    class Problems;
    bool find_tensors(Problems& problems);
    void add_tensor(const TensorEntry& entry, std::size_t file, Problems& problems);
    void check_tensors(Problems& problems);
    void settle_head(Problems& problems);

    std::filesystem::path folder_;
    Geometry geometry_;
    std::vector<SafetensorsFile> files_;
    std::map<std::string, Place> places_;
};

}  // namespace cmsweep
