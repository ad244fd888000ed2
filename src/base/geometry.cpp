#include "geometry.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "cmsweep/base/error.hpp"
#include "json_text.hpp"

namespace cmsweep {
namespace {

/// A dimension: factor x the value of a key of config.json.
struct Dimension {
    const char* key;
    std::int64_t value;
    std::int64_t factor = 1;
};

struct Layout {
    std::string name;
    std::vector<Dimension> shape;
};

/// The one description of a GPT-2's tensors (Radford et al. 2019; names as in transformers' modeling_gpt2.py).
std::vector<Layout> outer_layouts(const Geometry& g, bool before_blocks) {
    const Dimension width{"n_embd", g.width}, vocabulary{"vocab_size", g.vocabulary}, context{"n_positions", g.context};
    if (before_blocks) return {{"wte.weight", {vocabulary, width}}, {"wpe.weight", {context, width}}};
    std::vector<Layout> layouts = {{"ln_f.weight", {width}}, {"ln_f.bias", {width}}};
    if (!g.tied) layouts.push_back({"lm_head.weight", {vocabulary, width}});
    return layouts;
}

std::vector<Layout> block_layouts(const Geometry& g) {
    const Dimension width{"n_embd", g.width}, inner{"n_inner", g.inner}, qkv{"n_embd", g.width, 3};
    return {{"ln_1.weight", {width}},
            {"ln_1.bias", {width}},
            {"attn.c_attn.weight", {width, qkv}},
            {"attn.c_attn.bias", {qkv}},
            {"attn.c_proj.weight", {width, width}},
            {"attn.c_proj.bias", {width}},
            {"ln_2.weight", {width}},
            {"ln_2.bias", {width}},
            {"mlp.c_fc.weight", {width, inner}},
            {"mlp.c_fc.bias", {inner}},
            {"mlp.c_proj.weight", {inner, width}},
            {"mlp.c_proj.bias", {width}}};
}

TensorSpec to_spec(const std::string& prefix, const Layout& layout) {
    TensorSpec spec{prefix + layout.name, {}};
    for (const auto& dimension : layout.shape) spec.shape.push_back(dimension.factor * dimension.value);
    return spec;
}

/// Reads values of one config.json and gathers what is wrong with them.
class Reader {
public:
    Reader(const nlohmann::json& config, const std::string& where) : config_(config), where_(where) {}

    void complain(const std::string& key, const std::string& expected) {
        problems_.push_back(where_ + ": " + key + (has(key) ? " = " + shown(config_[key]) : " is missing") + ": " +
                            expected);
    }

    bool has(const std::string& key) const { return config_.contains(key) && !config_[key].is_null(); }

    /// An integer of 1 ... most; `absent` where the key is missing or null, or a problem if `absent` is 0.
    std::int64_t count(const std::string& key, std::int64_t most, std::int64_t absent = 0) {
        if (!has(key) && absent != 0) return absent;
        // As a double, which orders even 2^64 rightly; within the limits, which are far below 2^53, it is exact.
        const double value = has(key) && config_[key].is_number_integer() ? config_[key].get<double>() : 0.0;
        if (value >= 1 && value <= static_cast<double>(most)) return static_cast<std::int64_t>(value);
        complain(key, "expected an integer of 1 ... " + std::to_string(most));
        return 0;
    }

    bool flag(const std::string& key, bool absent) {
        if (!has(key)) return absent;
        if (config_[key].is_boolean()) return config_[key].get<bool>();
        complain(key, "expected true or false");
        return absent;
    }

    void finish() {
        if (!problems_.empty()) throw InputError(std::move(problems_));
    }

private:
    const nlohmann::json& config_;
    const std::string& where_;
    std::vector<std::string> problems_;
};

// Far above any GPT-2, low enough that no size computed from them overflows or asks for absurd memory.
constexpr std::int64_t kMostBlocks = 4096;
constexpr std::int64_t kMostWidth = 1 << 20;
constexpr std::int64_t kMostInner = 1 << 22;
constexpr std::int64_t kMostContext = 1 << 24;
constexpr std::int64_t kMostVocabulary = 1 << 24;

/// The rest behind `h.<i>.`, and i; -1 if the name does not begin so.
std::int64_t split_block(std::string_view name, std::string_view& rest) {
    if (!name.starts_with("h.")) return -1;
    std::int64_t block = -1;
    const auto* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + 2, end, block);
    if (error != std::errc() || block < 0 || stop == end || *stop != '.') return -1;
    rest = name.substr(stop - name.data() + 1);
    return block;
}

}  // namespace

std::int64_t TensorSpec::elements() const {
    std::int64_t product = 1;
    for (const auto dimension : shape) product *= dimension;
    return product;
}

std::vector<TensorSpec> tensor_specs(const Geometry& geometry) {
    std::vector<TensorSpec> specs;
    for (const auto& layout : outer_layouts(geometry, true)) specs.push_back(to_spec("", layout));
    const auto layouts = block_layouts(geometry);
    for (std::int64_t block = 0; block < geometry.blocks; ++block) {
        const auto prefix = "h." + std::to_string(block) + ".";
        for (const auto& layout : layouts) specs.push_back(to_spec(prefix, layout));
    }
    for (const auto& layout : outer_layouts(geometry, false)) specs.push_back(to_spec("", layout));
    return specs;
}

std::string shape_source(const Geometry& geometry, std::string_view tensor_name) {
    std::string_view name = tensor_name;
    auto layouts = split_block(tensor_name, name) >= 0 ? block_layouts(geometry) : outer_layouts(geometry, true);
    if (name == tensor_name) std::ranges::move(outer_layouts(geometry, false), std::back_inserter(layouts));
    const auto found = std::ranges::find(layouts, name, &Layout::name);
    if (found == layouts.end()) return "";
    std::string shape, values;
    std::set<std::string> keys;
    for (const auto& dimension : found->shape) {
        if (!shape.empty()) shape += ", ";
        if (dimension.factor != 1) shape += std::to_string(dimension.factor) + " x ";
        shape += dimension.key;
        if (!keys.insert(dimension.key).second) continue;
        values += (values.empty() ? "" : ", ") + std::string(dimension.key) + " = " + std::to_string(dimension.value);
    }
    return "[" + shape + "] with " + values;
}

std::int64_t block_of(std::string_view tensor_name) {
    std::string_view rest;
    return split_block(tensor_name, rest);
}

bool is_mlp(std::string_view tensor_name) {
    std::string_view rest;
    return split_block(tensor_name, rest) >= 0 && rest.starts_with("mlp.");
}

Geometry parse_geometry(const nlohmann::json& config, const std::string& where) {
    if (!config.is_object())
        throw InputError(where + ": found " + shown(config) + ", expected an object as in config.json");
    Reader reader(config, where);
    if (!reader.has("model_type") || config["model_type"] != "gpt2") {
        reader.complain("model_type", "expected \"gpt2\", the only architecture that is supported");
    }
    Geometry geometry;
    geometry.blocks = reader.count("n_layer", kMostBlocks);
    geometry.width = reader.count("n_embd", kMostWidth);
    geometry.heads = reader.count("n_head", kMostWidth);
    geometry.context =
        reader.count(!reader.has("n_positions") && reader.has("n_ctx") ? "n_ctx" : "n_positions", kMostContext);
    geometry.vocabulary = reader.count("vocab_size", kMostVocabulary);
    geometry.inner = reader.count("n_inner", kMostInner, std::max<std::int64_t>(4 * geometry.width, 1));
    if (geometry.width > 0 && geometry.heads > 0 && geometry.width % geometry.heads != 0) {
        reader.complain("n_embd", "expected a multiple of n_head = " + std::to_string(geometry.heads));
    }

    geometry.activation = "gelu_new";  // what transformers assumes
    if (reader.has("activation_function")) {
        const auto& activation = config["activation_function"];
        if (activation == "gelu" || activation == "gelu_new") {
            geometry.activation = activation.get<std::string>();
        } else {
            reader.complain("activation_function", "expected \"gelu\" (erf form) or \"gelu_new\" (tanh form)");
        }
    }
    if (reader.has("layer_norm_epsilon")) {
        const auto& epsilon = config["layer_norm_epsilon"];
        geometry.layer_norm_epsilon = epsilon.is_number() ? epsilon.get<double>() : 0.0;
        if (!(geometry.layer_norm_epsilon > 0 && geometry.layer_norm_epsilon < 1)) {
            reader.complain("layer_norm_epsilon", "expected a number between 0 and 1, such as 1e-05");
        }
    }
    geometry.tied = reader.flag("tie_word_embeddings", true);
    // Switches of transformers that make it another network.
    if (!reader.flag("scale_attn_weights", true)) reader.complain("scale_attn_weights", "expected true");
    for (const char* key : {"scale_attn_by_inverse_layer_idx", "add_cross_attention"}) {
        if (reader.flag(key, false)) reader.complain(key, "expected false");
    }
    reader.finish();
    return geometry;
}

nlohmann::json geometry_to_json(const Geometry& geometry) {
    // transformers' default ids of special tokens lie outside a small vocabulary; 0 is the byte tokenizer's end of
    // text.
    constexpr std::int64_t kGpt2EndOfText = 50256;
    const auto end_of_text = geometry.vocabulary > kGpt2EndOfText ? kGpt2EndOfText : 0;
    nlohmann::json config = {{"architectures", nlohmann::json::array({"GPT2LMHeadModel"})},
                             {"model_type", "gpt2"},
                             {"n_layer", geometry.blocks},
                             {"n_embd", geometry.width},
                             {"n_head", geometry.heads},
                             {"n_positions", geometry.context},
                             {"n_ctx", geometry.context},
                             {"vocab_size", geometry.vocabulary},
                             {"n_inner", nullptr},
                             {"activation_function", geometry.activation},
                             {"layer_norm_epsilon", geometry.layer_norm_epsilon},
                             {"tie_word_embeddings", geometry.tied},
                             {"bos_token_id", end_of_text},
                             {"eos_token_id", end_of_text},
                             {"torch_dtype", "float32"}};
    if (geometry.inner != 4 * geometry.width) config["n_inner"] = geometry.inner;
    return config;
}

void to_json(nlohmann::json& json, const Geometry& geometry) {
    json = {{"blocks", geometry.blocks},
            {"width", geometry.width},
            {"heads", geometry.heads},
            {"context", geometry.context},
            {"vocabulary", geometry.vocabulary},
            {"inner", geometry.inner},
            {"activation", geometry.activation},
            {"layer_norm_epsilon", geometry.layer_norm_epsilon},
            {"tied", geometry.tied}};
}

void from_json(const nlohmann::json& json, Geometry& geometry) {
    json.at("blocks").get_to(geometry.blocks);
    json.at("width").get_to(geometry.width);
    json.at("heads").get_to(geometry.heads);
    json.at("context").get_to(geometry.context);
    json.at("vocabulary").get_to(geometry.vocabulary);
    json.at("inner").get_to(geometry.inner);
    json.at("activation").get_to(geometry.activation);
    json.at("layer_norm_epsilon").get_to(geometry.layer_norm_epsilon);
    json.at("tied").get_to(geometry.tied);
}

}  // namespace cmsweep
