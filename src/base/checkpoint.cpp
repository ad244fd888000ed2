#include "cmsweep/base/checkpoint.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <set>
#include <stdexcept>
#include <system_error>

#include "cmsweep/base/error.hpp"
#include "geometry.hpp"
#include "json_text.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "transformer.";
constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

std::string without_prefix(std::string_view name) {
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    return std::string(name);
}

/// Buffers that older versions of transformers stored: `h.<i>.attn.bias` (not `attn.c_attn.bias`) and
/// `attn.masked_bias`.
bool is_mask(std::string_view name) {
    return block_of(name) >= 0 && (name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias"));
}

/// Would a tensor of this name take part in the language model? Other heads and counters may lie beside it.
bool is_network(std::string_view name) {
    constexpr std::array<std::string_view, 5> kParts = {"wte.", "wpe.", "h.", "ln_f.", "lm_head."};
    return std::ranges::any_of(kParts, [&](auto part) { return name.starts_with(part); });
}

bool is_float(const std::string& dtype) {
    return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64";
}

std::vector<float> read_values(const SafetensorsFile& file, const TensorEntry& entry) {
    std::vector<float> values(entry.elements());
    file.read_float32(entry, values);
    return values;
}

bool same_values(const SafetensorsFile& file_a, const TensorEntry& a, const SafetensorsFile& file_b,
                 const TensorEntry& b) {
    if (a.shape != b.shape) return false;
    if (a.dtype == b.dtype) return std::ranges::equal(file_a.bytes(a), file_b.bytes(b));
    return std::ranges::equal(read_values(file_a, a), read_values(file_b, b), {}, std::bit_cast<std::uint32_t, float>,
                              std::bit_cast<std::uint32_t, float>);
}

/// Which shard holds each tensor, by the index file. Throws InputError.
std::map<std::string, std::string> read_weight_map(const fs::path& path) {
    const auto index = read_json(path);
    if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
        throw InputError(path.string() + ": expected an object with weight_map, from tensor names to files");
    }
    std::map<std::string, std::string> files;
    std::vector<std::string> problems;
    for (const auto& [name, file] : index["weight_map"].items()) {
        const auto text = file.is_string() ? file.get<std::string>() : std::string();
        // A path could point anywhere; shards lie beside their index.
        if (text.empty() || text == "." || text == ".." || text.find('/') != std::string::npos) {
            problems.push_back(path.string() + ": weight_map, " + shown(name) + " = " + shown(file) +
                               ": expected the name of a file beside the index");
        } else {
            files.emplace(name, text);
        }
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    return files;
}

bool is_there(const fs::path& path) {
    std::error_code ignored;
    return fs::exists(path, ignored);
}

}  // namespace

/// Collects lines; beyond a screenful only counts them.
class Checkpoint::Problems {
public:
    void add(const fs::path& where, const std::string& what) {
        if (++count_ <= kMost) lines_.push_back(where.string() + ": " + what);
    }
    void add(const InputError& error) {
        count_ += error.problems().size();
        lines_.insert(lines_.end(), error.problems().begin(), error.problems().end());
    }
    void finish(const fs::path& where) {
        if (count_ > lines_.size()) {
            lines_.push_back(where.string() + ": and " + std::to_string(count_ - lines_.size()) + " more problems");
        }
        if (!lines_.empty()) throw InputError(std::move(lines_));
    }

private:
    static constexpr std::size_t kMost = 20;
    std::vector<std::string> lines_;
    std::size_t count_ = 0;
};

Checkpoint::Checkpoint(const fs::path& folder) : folder_(folder) {
    std::error_code ignored;
    if (!fs::is_directory(folder, ignored)) {
        throw InputError(folder.string() + ": no such folder; expected a checkpoint, that is config.json and " +
                         std::string(kSingleFile));
    }
    Problems problems;
    bool comparable = true;
    try {
        const auto path = folder / "config.json";
        geometry_ = parse_geometry(read_json(path), path.string());
    } catch (const InputError& error) {
        problems.add(error);
        comparable = false;
    }
    comparable = find_tensors(problems) && comparable;
    if (comparable) {
        check_tensors(problems);
        problems.finish(folder);
        settle_head(problems);
    }
    problems.finish(folder);
}

/// Fills files_ and places_. False if a file could not be read, so that nothing can be said about what is missing.
bool Checkpoint::find_tensors(Problems& problems) {
    const auto open = [&](const fs::path& path) {
        try {
            files_.emplace_back(path);
            return true;
        } catch (const InputError& error) {
            problems.add(error);
            return false;
        }
    };
    if (is_there(folder_ / kSingleFile)) {
        if (!open(folder_ / kSingleFile)) return false;
        for (const auto& entry : files_[0].tensors()) add_tensor(entry, 0, problems);
        return true;
    }
    if (!is_there(folder_ / kIndexFile)) {
        const bool pickled = is_there(folder_ / "pytorch_model.bin");
        problems.add(folder_,
                     std::string("expected ") + kSingleFile + " or " + kIndexFile +
                         (pickled ? "; pytorch_model.bin is not read: save it with safe_serialization=True" : ""));
        return false;
    }
    std::map<std::string, std::string> shard_of;
    try {
        shard_of = read_weight_map(folder_ / kIndexFile);
    } catch (const InputError& error) {
        problems.add(error);
        return false;
    }
    std::map<std::string, std::vector<std::string>> tensors_of;
    for (const auto& [name, shard] : shard_of) tensors_of[shard].push_back(name);
    bool complete = true;
    for (const auto& [shard, names] : tensors_of) {
        if (!open(folder_ / shard)) {
            complete = false;
            continue;
        }
        for (const auto& name : names) {
            if (const auto* entry = files_.back().find(name)) {
                add_tensor(*entry, files_.size() - 1, problems);
            } else {
                problems.add(folder_ / shard, "no tensor " + shown(name) + ", where " + kIndexFile + " says it is");
            }
        }
    }
    return complete;
}

void Checkpoint::add_tensor(const TensorEntry& entry, std::size_t file, Problems& problems) {
    const auto name = without_prefix(entry.name);
    if (is_mask(name) || !is_network(name)) return;
    if (!places_.emplace(name, Place{file, entry}).second) {
        problems.add(files_[file].path(),
                     "tensor " + shown(name) + " is there twice, with and without \"transformer.\"");
    }
}

void Checkpoint::check_tensors(Problems& problems) {
    // Nothing is listed by the thousand that config.json says and no file holds.
    if (static_cast<std::uint64_t>(geometry_.blocks) > places_.size()) {
        problems.add(folder_ / "config.json", "n_layer = " + std::to_string(geometry_.blocks) + ", but there are only " +
                                                  std::to_string(places_.size()) + " tensors of a network; expected at least one a block");
        return;
    }
    // A stored head is checked even where the config says that there is none: settle_head() compares it.
    auto stored = geometry_;
    if (places_.contains("lm_head.weight")) stored.tied = false;
    std::set<std::string> names;
    for (const auto& spec : tensor_specs(stored)) {
        names.insert(spec.name);
        const auto found = places_.find(spec.name);
        if (found == places_.end()) {
            const bool head = spec.name == "lm_head.weight";
            problems.add(folder_, "no tensor " + spec.name +
                                      (head ? ", expected since config.json has tie_word_embeddings = false" : ""));
            continue;
        }
        const auto& [file, entry] = found->second;
        if (entry.shape != spec.shape) {
            const bool transposed =
                std::equal(entry.shape.rbegin(), entry.shape.rend(), spec.shape.begin(), spec.shape.end());
            problems.add(files_[file].path(),
                         "tensor " + spec.name + " has shape " + shown(entry.shape) + ", expected " +
                             shown(spec.shape) + " = " + shape_source(stored, spec.name) + " in config.json" +
                             (transposed ? "; it is transposed, expected Conv1D's [in, out]" : ""));
        }
        if (!is_float(entry.dtype)) {
            problems.add(files_[file].path(),
                         "tensor " + spec.name + " has dtype " + entry.dtype + ", expected F32, F16, BF16 or F64");
        }
    }
    for (const auto& [name, place] : places_) {
        if (names.contains(name)) continue;
        const bool beyond = block_of(name) >= geometry_.blocks;
        problems.add(files_[place.file].path(),
                     "tensor " + shown(name) + " is no part of a GPT-2" +
                         (beyond ? " with n_layer = " + std::to_string(geometry_.blocks) + " in config.json" : ""));
    }
}

/// Tied or not, by what is stored; afterwards places_ has exactly tensor_specs(geometry_).
void Checkpoint::settle_head(Problems& problems) {
    const auto found = places_.find("lm_head.weight");
    if (found == places_.end()) return;
    const auto& head = found->second;
    const auto& embedding = places_.at("wte.weight");
    const bool same = same_values(files_[head.file], head.entry, files_[embedding.file], embedding.entry);
    if (!same && geometry_.tied) {
        problems.add(
            files_[head.file].path(),
            "lm_head.weight differs from wte.weight, but config.json ties them; set tie_word_embeddings = false "
            "there to use this head, or remove the tensor");
    }
    geometry_.tied = geometry_.tied || same;
    if (geometry_.tied) places_.erase(found);
}

void Checkpoint::read(const TensorSpec& spec, std::span<float> out) const {
    const auto found = places_.find(spec.name);
    if (found == places_.end())
        throw std::out_of_range("Checkpoint::read: " + folder_.string() + " has no " + spec.name);
    files_[found->second.file].read_float32(found->second.entry, out);
}

Id Checkpoint::digest() const {
    Hasher hasher;
    hasher.add(canonical_json(geometry_));
    for (const auto& spec : tensor_specs(geometry_)) {
        const auto& [file, entry] = places_.at(spec.name);
        // Float32 is hashed where it lies; what is stored otherwise counts by the float32 values that are computed
        // with.
        if (entry.dtype == "F32") {
            hasher.add(files_[file].bytes(entry));
        } else {
            const auto values = read_values(files_[file], entry);
            hasher.add(std::as_bytes(std::span(values)));
        }
    }
    return hasher.digest();
}

}  // namespace cmsweep
