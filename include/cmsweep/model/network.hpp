#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <torch/types.h>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/random.hpp"

namespace cmsweep {

/// The parameters of one GPT-2: tensors by name (without `transformer.`), float32, on one device. Tensors may be shared
/// between sets (a specialist shares what fine-tuning left alone with its base); nobody writes into a shared tensor.
/// A value type: copying copies handles, not numbers.
class Parameters {
public:
    Parameters() = default;
    Parameters(Geometry geometry, std::map<std::string, torch::Tensor, std::less<>> tensors);

    const Geometry& geometry() const { return geometry_; }
    const torch::Tensor& operator[](std::string_view name) const;  ///< throws std::out_of_range naming it
    void set(std::string_view name, torch::Tensor value);
    const std::map<std::string, torch::Tensor, std::less<>>& tensors() const { return tensors_; }
    /// The tied token embedding or the separate head: [vocabulary, width].
    const torch::Tensor& head() const;
    torch::Device device() const;
    Parameters to(torch::Device device) const;

private:
    Geometry geometry_;
    std::map<std::string, torch::Tensor, std::less<>> tensors_;
};

/// Reads a checkpoint in Hugging Face's layout.
Parameters load_parameters(const Checkpoint& checkpoint, torch::Device device);
/// GPT-2's initialisation: normal(0, 0.02), residual projections scaled by 1/sqrt(2 x blocks), norms 1 and 0, biases 0;
/// every tensor from its own stream (seed, "initialise", name).
Parameters random_parameters(const Geometry& geometry, std::uint64_t seed, torch::Device device);

/// Writes config.json and model.safetensors (float32, names with the `transformer.` prefix as transformers saves GPT2LMHeadModel),
/// and copies tokenizer files from `tokenizer_folder` if it is not empty. A model of more than `shard_bytes` becomes several files,
/// each at most that large (or of one tensor), written one after the other, and model.safetensors.index.json.
void save_checkpoint(const std::filesystem::path& folder, const Parameters& parameters, const std::filesystem::path& tokenizer_folder = {},
                     std::uint64_t shard_bytes = std::numeric_limits<std::uint64_t>::max());

/// Only the named tensors, plus the id of the base they belong to; atomically. Every kept checkpoint of a trajectory.
void save_delta(const std::filesystem::path& file, const Parameters& parameters, const std::set<std::string>& changed, const Id& base);
/// The base with the tensors of `file` in place. Throws InputError if the file is damaged or belongs to another base.
Parameters load_delta(const std::filesystem::path& file, const Parameters& base, const Id& base_id);

/// Names that training with `trainable` = "mlp" or "all" changes.
std::set<std::string> trainable_names(const Geometry& geometry, std::string_view trainable);

/// What a forward pass may be asked to do differently or to show. All optional.
struct ForwardHooks {
    /// Replaces the MLP of a block: (block, ln_2 output [B, T, width]) -> MLP output. Called for every block if set.
    std::function<torch::Tensor(std::int64_t block, const torch::Tensor& input)> mlp;
    /// Replaces a whole block: (block, stream) -> stream. Called for every block if set; `mlp` is then up to it.
    std::function<torch::Tensor(std::int64_t block, const torch::Tensor& stream)> block;
    /// Sees the residual stream after each block, and each MLP's output.
    std::function<void(std::int64_t block, const torch::Tensor& stream)> residual;
    std::function<void(std::int64_t block, const torch::Tensor& output)> mlp_output;
    /// Sees the input rows [n, in] of every linear map that runs inside a block, by the name of its weight.
    std::function<void(const std::string& weight, const torch::Tensor& rows)> linear_input;
};

/// Token and position embeddings: ids [B, T] int64 -> [B, T, width].
torch::Tensor embed(const Parameters& parameters, const torch::Tensor& ids);
/// One block: pre-norm attention and MLP with residuals. `hooks` may replace the MLP.
torch::Tensor run_block(const Parameters& parameters, std::int64_t block, const torch::Tensor& stream, const ForwardHooks& hooks = {});
/// The MLP of a block alone: Conv1D [in, out] weights, c_fc, activation, c_proj.
torch::Tensor run_mlp(const Parameters& parameters, std::int64_t block, const torch::Tensor& input);
/// Blocks first … last-1 in turn.
torch::Tensor run_blocks(const Parameters& parameters, torch::Tensor stream, std::int64_t first, std::int64_t last, const ForwardHooks& hooks = {});
/// Final norm.
torch::Tensor final_norm(const Parameters& parameters, const torch::Tensor& stream);
/// Head: normed stream -> logits [B, T, vocabulary].
torch::Tensor project(const Parameters& parameters, const torch::Tensor& normed);
/// embed, all blocks, final norm, head.
torch::Tensor forward(const Parameters& parameters, const torch::Tensor& ids, const ForwardHooks& hooks = {});

}  // namespace cmsweep
