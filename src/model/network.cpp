#include "cmsweep/model/network.hpp"

#include <cmath>
#include <limits>

#include <ATen/ATen.h>

namespace cmsweep {
namespace {

std::string tensor_name(std::int64_t block, const char* rest) {
    return "h." + std::to_string(block) + "." + rest;
}

torch::Tensor layer_norm(const Parameters& parameters, const std::string& name, const torch::Tensor& input) {
    return at::layer_norm(input, {parameters.geometry().width}, parameters[name + ".weight"], parameters[name + ".bias"],
                          parameters.geometry().layer_norm_epsilon);
}

/// Conv1D: x W + b with W [in, out] (openai/gpt-2, model.py), on rows [n, in].
torch::Tensor conv1d(const Parameters& parameters, const std::string& name, const torch::Tensor& rows, const ForwardHooks& hooks) {
    if (hooks.linear_input) hooks.linear_input(name + ".weight", rows);
    return at::addmm(parameters[name + ".bias"], rows, parameters[name + ".weight"]);
}

/// MLP on rows [n, width].
torch::Tensor mlp_rows(const Parameters& parameters, std::int64_t block, const torch::Tensor& rows, const ForwardHooks& hooks) {
    const auto name = tensor_name(block, "mlp.");
    const auto hidden = conv1d(parameters, name + "c_fc", rows, hooks);
    const auto active = at::gelu(hidden, parameters.geometry().activation == "gelu_new" ? "tanh" : "none");
    return conv1d(parameters, name + "c_proj", active, hooks);
}

/// Causal self-attention of normed input [B, T, width].
torch::Tensor attention(const Parameters& parameters, std::int64_t block, const torch::Tensor& input, const ForwardHooks& hooks) {
    const auto& geometry = parameters.geometry();
    const auto batch = input.size(0), length = input.size(1), width = geometry.width;
    const auto heads = geometry.heads, depth = width / heads;
    const auto name = tensor_name(block, "attn.");
    // One copy brings queries, keys and values into [3, B x heads, T, depth], so that each is contiguous for the products.
    const auto qkv = conv1d(parameters, name + "c_attn", input.reshape({-1, width}), hooks)
                         .view({batch, length, 3, heads, depth})
                         .permute({2, 0, 3, 1, 4})
                         .reshape({3, batch * heads, length, depth})
                         .unbind(0);  // whose gradient is one stack, where three selections would each fill the whole with zeros
    const auto mask = at::full({length, length}, -std::numeric_limits<float>::infinity(), qkv[0].options()).triu_(1);
    const auto scores = at::baddbmm(mask, qkv[0], qkv[1].transpose(1, 2), 1.0, 1.0 / std::sqrt(static_cast<double>(depth)));
    const auto mixed = at::bmm(at::softmax(scores, -1), qkv[2])
                           .view({batch, heads, length, depth})
                           .transpose(1, 2)
                           .reshape({batch * length, width});
    return conv1d(parameters, name + "c_proj", mixed, hooks).view({batch, length, width});
}

torch::Tensor run_own_mlp(const Parameters& parameters, std::int64_t block, const torch::Tensor& input, const ForwardHooks& hooks) {
    return mlp_rows(parameters, block, input.reshape({-1, parameters.geometry().width}), hooks).view(input.sizes());
}

}  // namespace

torch::Tensor embed(const Parameters& parameters, const torch::Tensor& ids) {
    const auto length = ids.size(1);
    return at::embedding(parameters["wte.weight"], ids) + parameters["wpe.weight"].slice(0, 0, length);
}

torch::Tensor run_mlp(const Parameters& parameters, std::int64_t block, const torch::Tensor& input) {
    return run_own_mlp(parameters, block, input, {});
}

torch::Tensor run_block(const Parameters& parameters, std::int64_t block, const torch::Tensor& stream, const ForwardHooks& hooks) {
    torch::Tensor out;
    if (hooks.block) {
        out = hooks.block(block, stream);
    } else {
        const auto middle = stream + attention(parameters, block, layer_norm(parameters, tensor_name(block, "ln_1"), stream), hooks);
        const auto input = layer_norm(parameters, tensor_name(block, "ln_2"), middle);
        const auto output = hooks.mlp ? hooks.mlp(block, input) : run_own_mlp(parameters, block, input, hooks);
        if (hooks.mlp_output) hooks.mlp_output(block, output);
        out = middle + output;
    }
    if (hooks.residual) hooks.residual(block, out);
    return out;
}

torch::Tensor run_blocks(const Parameters& parameters, torch::Tensor stream, std::int64_t first, std::int64_t last,
                         const ForwardHooks& hooks) {
    for (auto block = first; block < last; ++block) stream = run_block(parameters, block, stream, hooks);
    return stream;
}

torch::Tensor final_norm(const Parameters& parameters, const torch::Tensor& stream) {
    return layer_norm(parameters, "ln_f", stream);
}

torch::Tensor project(const Parameters& parameters, const torch::Tensor& normed) {
    return at::linear(normed, parameters.head());
}

torch::Tensor forward(const Parameters& parameters, const torch::Tensor& ids, const ForwardHooks& hooks) {
    const auto stream = run_blocks(parameters, embed(parameters, ids), 0, parameters.geometry().blocks, hooks);
    return project(parameters, final_norm(parameters, stream));
}

}  // namespace cmsweep
