#include "tensor_io.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "cmsweep/base/id.hpp"

namespace cmsweep {

TensorToWrite to_write(std::string name, const torch::Tensor& tensor, std::vector<torch::Tensor>& held) {
    held.push_back(tensor.detach().to(at::kCPU, at::kFloat).contiguous());
    return {std::move(name), "F32", held.back().sizes().vec(), std::as_bytes(floats(held.back()))};
}

std::string content_digest(std::span<const TensorToWrite> tensors) {
    std::vector<const TensorToWrite*> sorted;
    for (const auto& tensor : tensors) sorted.push_back(&tensor);
    std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->name < b->name; });
    Hasher hasher;
    for (const auto* tensor : sorted) {
        hasher.add(nlohmann::json{tensor->name, tensor->dtype, tensor->shape}.dump());
        hasher.add(tensor->values);
    }
    return hasher.digest().hex();
}

std::string content_digest(const SafetensorsFile& file) {
    std::vector<TensorToWrite> tensors;
    for (const auto& entry : file.tensors()) tensors.push_back({entry.name, entry.dtype, entry.shape, file.bytes(entry)});
    return content_digest(tensors);
}

}  // namespace cmsweep
