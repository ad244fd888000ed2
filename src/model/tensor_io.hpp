#pragma once

#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cmsweep/base/safetensors.hpp"

namespace cmsweep {

inline std::span<float> floats(const torch::Tensor& tensor) {
    return {tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())};
}

/// A tensor as float32 for write_safetensors. What it points into is appended to `held`.
TensorToWrite to_write(std::string name, const torch::Tensor& tensor, std::vector<torch::Tensor>& held);

/// Hash of names, dtypes, shapes and values in order of names: what a file promises about its own content.
std::string content_digest(std::span<const TensorToWrite> tensors);
std::string content_digest(const SafetensorsFile& file);

}  // namespace cmsweep
