#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/safetensors.hpp"
#include "cmsweep/model/network.hpp"
#include "tensor_io.hpp"

namespace cmsweep {
namespace {

constexpr double kInitialDeviation = 0.02;
constexpr const char* kDeltaFormat = "cmsweep-delta";

std::string shape_text(at::IntArrayRef shape) {
    std::string text = "[";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + "]";
}

}  // namespace

Parameters::Parameters(Geometry geometry, std::map<std::string, torch::Tensor, std::less<>> tensors)
    : geometry_(std::move(geometry)), tensors_(std::move(tensors)) {
    for (const auto& spec : tensor_specs(geometry_)) {
        const auto& tensor = (*this)[spec.name];
        if (tensor.sizes() != at::IntArrayRef(spec.shape))
            throw std::invalid_argument("Parameters: " + spec.name + " has shape " + shape_text(tensor.sizes()) + ", expected " +
                                        shape_text(spec.shape));
    }
}

const torch::Tensor& Parameters::operator[](std::string_view name) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw std::out_of_range("Parameters: no tensor named " + std::string(name));
    return found->second;
}

void Parameters::set(std::string_view name, torch::Tensor value) {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) throw std::out_of_range("Parameters: no tensor named " + std::string(name));
    if (value.sizes() != found->second.sizes())
        throw std::invalid_argument("Parameters: " + std::string(name) + " set to shape " + shape_text(value.sizes()) + ", expected " +
                                    shape_text(found->second.sizes()));
    found->second = std::move(value);
}

const torch::Tensor& Parameters::head() const {
    return (*this)[geometry_.tied ? "wte.weight" : "lm_head.weight"];
}

torch::Device Parameters::device() const {
    return tensors_.empty() ? torch::Device(torch::kCPU) : tensors_.begin()->second.device();
}

Parameters Parameters::to(torch::Device device) const {
    Parameters moved = *this;
    for (auto& [name, tensor] : moved.tensors_) tensor = tensor.to(device);
    return moved;
}

Parameters load_parameters(const Checkpoint& checkpoint, torch::Device device) {
    std::map<std::string, torch::Tensor, std::less<>> tensors;
    for (const auto& spec : tensor_specs(checkpoint.geometry())) {
        auto tensor = at::empty(spec.shape, at::kFloat);
        checkpoint.read(spec, floats(tensor));
        tensors.emplace(spec.name, tensor.to(device));
    }
    return {checkpoint.geometry(), std::move(tensors)};
}

Parameters random_parameters(const Geometry& geometry, std::uint64_t seed, torch::Device device) {
    std::map<std::string, torch::Tensor, std::less<>> tensors;
    for (const auto& spec : tensor_specs(geometry)) {
        auto tensor = at::zeros(spec.shape, at::kFloat);
        const bool weight = spec.name.ends_with(".weight");
        if (weight && spec.shape.size() == 1) {
            tensor.fill_(1.0);  // norms
        } else if (weight) {
            // Radford et al. 2019, section 2.3: the projections into the residual stream shrink with the number of layers.
            const double shrink = spec.name.ends_with("c_proj.weight") ? std::sqrt(2.0 * static_cast<double>(geometry.blocks)) : 1.0;
            Stream stream(seed, "initialise", {spec.name});
            for (auto& value : floats(tensor)) value = static_cast<float>(kInitialDeviation / shrink * stream.normal());
        }
        tensors.emplace(spec.name, tensor.to(device));
    }
    return {geometry, std::move(tensors)};
}

namespace {

/// Hugging Face's names: model.safetensors alone, or model-00001-of-00003.safetensors and so on.
std::string shard_name(std::size_t number, std::size_t count) {
    if (count == 1) return "model.safetensors";
    const auto five = [](std::size_t value) {
        const auto digits = std::to_string(value);
        return std::string(digits.size() < 5 ? 5 - digits.size() : 0, '0') + digits;
    };
    return "model-" + five(number) + "-of-" + five(count) + ".safetensors";
}

std::uint64_t bytes_of(const TensorSpec& spec) { return sizeof(float) * static_cast<std::uint64_t>(spec.elements()); }

}  // namespace

void save_checkpoint(const std::filesystem::path& folder, const Parameters& parameters, const std::filesystem::path& tokenizer_folder,
                     std::uint64_t shard_bytes) {
    std::vector<std::vector<TensorSpec>> shards;
    std::uint64_t total = 0, room = 0;
    for (const auto& spec : tensor_specs(parameters.geometry())) {
        if (shards.empty() || bytes_of(spec) > room) {
            shards.emplace_back();
            room = shard_bytes;
        }
        shards.back().push_back(spec);
        room -= std::min(room, bytes_of(spec));
        total += bytes_of(spec);
    }
    nlohmann::json files = nlohmann::json::object();
    for (std::size_t s = 0; s < shards.size(); ++s) {
        const std::string file = shard_name(s + 1, shards.size());
        std::vector<torch::Tensor> held;  // of one shard only: on a GPU these are copies
        std::vector<TensorToWrite> tensors;
        for (const auto& spec : shards[s]) {
            const std::string name = (spec.name.starts_with("lm_head.") ? "" : "transformer.") + spec.name;
            tensors.push_back(to_write(name, parameters[spec.name], held));
            files[name] = file;
        }
        write_safetensors(folder / file, tensors, {{"format", "pt"}});
    }
    if (shards.size() > 1)
        write_atomically(folder / "model.safetensors.index.json", nlohmann::json{{"metadata", {{"total_size", total}}}, {"weight_map", files}}.dump(2) + "\n");
    write_atomically(folder / "config.json", geometry_to_json(parameters.geometry()).dump(2) + "\n");
    if (tokenizer_folder.empty()) return;
    for (const char* name : {"tokenizer.json", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"})
        if (std::filesystem::exists(tokenizer_folder / name)) write_atomically(folder / name, read_text(tokenizer_folder / name));
}

void save_delta(const std::filesystem::path& file, const Parameters& parameters, const std::set<std::string>& changed, const Id& base) {
    std::vector<torch::Tensor> held;
    std::vector<TensorToWrite> tensors;
    for (const auto& name : changed) tensors.push_back(to_write(name, parameters[name], held));
    write_safetensors(file, tensors,
                      {{"format", kDeltaFormat}, {"base", base.hex()}, {"content", content_digest(tensors)}});
}

Parameters load_delta(const std::filesystem::path& file, const Parameters& base, const Id& base_id) {
    const SafetensorsFile stored(file);
    const auto member = [&](const char* key) {
        const auto found = stored.metadata().find(key);
        return found == stored.metadata().end() ? std::string() : found->second;
    };
    if (member("format") != kDeltaFormat)
        throw InputError(file.string() + ": metadata format = \"" + member("format") + "\": expected \"" + kDeltaFormat +
                         "\", a checkpoint of one trajectory");
    if (member("base") != base_id.hex())
        throw InputError(file.string() + ": belongs to base " + member("base") + ", expected " + base_id.hex() +
                         "; remove the file to have it computed again");
    if (member("content") != content_digest(stored))
        throw InputError(file.string() + ": content does not match its checksum; remove the damaged file to have it computed again");

    const auto device = base.device();
    Parameters parameters = base;
    std::vector<std::string> problems;
    for (const auto& entry : stored.tensors()) {
        const auto found = base.tensors().find(entry.name);
        if (found == base.tensors().end()) {
            problems.push_back(file.string() + ": tensor " + entry.name + " is not one of the base's");
        } else if (found->second.sizes() != at::IntArrayRef(entry.shape)) {
            problems.push_back(file.string() + ": tensor " + entry.name + " has shape " + shape_text(entry.shape) + ", expected " +
                               shape_text(found->second.sizes()));
        } else {
            auto tensor = at::empty(entry.shape, at::kFloat);
            stored.read_float32(entry, floats(tensor));
            parameters.set(entry.name, tensor.to(device));
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return parameters;
}

std::set<std::string> trainable_names(const Geometry& geometry, std::string_view trainable) {
    if (trainable != "mlp" && trainable != "all")
        throw std::invalid_argument("trainable = \"" + std::string(trainable) + "\": expected \"mlp\" or \"all\"");
    std::set<std::string> names;
    for (const auto& spec : tensor_specs(geometry))
        if (trainable == "all" || is_mlp(spec.name)) names.insert(spec.name);
    return names;
}

}  // namespace cmsweep
