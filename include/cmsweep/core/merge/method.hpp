#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/core/setting.hpp"

namespace cmsweep {

/// How members are combined; decides what a layer means for a method and which part of the program executes it.
enum class Family {
    reference,   ///< a model alone: specialist, base, finetune_target, joint
    parameter,   ///< one merged set of parameters
    activation,  ///< one shared stream, every member's MLP runs
    routing,     ///< one shared stream, trained routers weigh the MLPs
    output,      ///< members meet only at inputs and outputs; layer "none"
};
std::string_view family_name(Family family);

/// A tensor that is to be merged. Values are float32, row-major.
struct MergeTensor {
    std::string name;                 ///< without `transformer.`
    std::vector<std::int64_t> shape;
    bool transposed = false;          ///< Conv1D weight, stored [in, out]; row-wise methods work on its transpose
    std::int64_t elements() const;
};

/// The values of one model's tensors, in the order of ParameterMergeInput::tensors. Not owned.
using TensorValues = std::vector<std::span<const float>>;

/// What a parameter-space method sees. All members differ from the base in the listed tensors only.
struct ParameterMergeInput {
    std::vector<MergeTensor> tensors;
    TensorValues base;                  ///< theta_0
    std::vector<TensorValues> members;  ///< theta_i; at least one
    std::vector<double> weights;        ///< w_i, as many as members; not normalised
    nlohmann::json setting;             ///< complete_setting() of the method's parameters
    std::uint64_t seed = 0;             ///< for methods that draw; see Stream
    std::vector<std::string> member_keys;  ///< what names each member in random streams (its trajectory's id); empty: its index
    /// What methods with needs_text learned before they merge, per member and tensor: `fisher`: as many values as the tensor;
    /// `regmean`: the Gram matrix of a linear map's inputs, [in, in], none for other tensors; `learned_average`: one coefficient.
    /// `rebasin` by activations: see unit_products() of the model layer; empty for a match by weights.
    std::vector<TensorValues> statistics;
    std::int64_t heads = 0;             ///< of each block's attention; 0: not known
    /// Methods call it between tensors and before each decomposition: the run may commit or end there. May throw StopRequest.
    std::function<void()> safe_point = [] {};
};

/// Writes the merged values into `out`, one span a tensor, shapes as in input.tensors. Must not alias the inputs.
/// Throws NumericError. May add named figures about the merge (tensors that fell back, units moved) to `notes`.
using ParameterMerge = void (*)(const ParameterMergeInput& input, std::span<const std::span<float>> out,
                                nlohmann::json& notes);

/// One line of the registry.
struct MethodInfo {
    std::string name;
    Family family = Family::parameter;
    int version = 1;                   ///< part of every id; raised when results change
    std::vector<ParameterSpec> parameters;
    int least_members = 1;
    int most_members = 1 << 20;        ///< 2 for methods defined for exactly two
    bool needs_base = false;           ///< uses theta_0, not only the members
    bool needs_text = false;           ///< learns from a training split (`train_on`, or the members' own)
    bool draws = false;                ///< uses random numbers: the seed enters the id
    bool (*no_text)(const nlohmann::json& setting) = nullptr;  ///< settings with which needs_text and draws do not hold; null: none
    std::vector<std::string> text_parameters;  ///< with no_text: those that say which text is read and how much, which then say nothing
    bool zero_steps_count_members = false;     ///< `steps` 0: as many as the members were fine-tuned for together, not none
    bool sees_unchanged = false;       ///< also merges tensors in which no member differs from the base
    std::vector<std::string> identities;  ///< "equal_members": N equal copies come back; "parents": weight 1 returns that member; "symmetric": member order does not matter; "base": tau = 0 returns theta_0
    std::string summary;               ///< one sentence
    std::string source;                ///< paper, equation
    ParameterMerge merge = nullptr;    ///< parameter family only

    bool uses_text(const nlohmann::json& setting) const { return needs_text && !(no_text && no_text(setting)); }
    bool uses_seed(const nlohmann::json& setting) const { return draws && !(no_text && no_text(setting)); }
};

/// Every method, in the order `cmsweep methods` prints. One line per method, in src/core/merge/registry.cpp.
std::span<const MethodInfo> merge_methods();
const MethodInfo* find_method(std::string_view name);

}  // namespace cmsweep
