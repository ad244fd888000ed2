#pragma once

#include <string>

#include <torch/types.h>

namespace cmsweep {

/// "cpu", "cuda" or "auto" -> a device. `local_rank` (rank within the node) chooses among the node's GPUs, round robin.
/// Throws InputError if CUDA was asked for and LibTorch has none.
torch::Device choose_device(const std::string& wanted, int local_rank);

/// Applies `threads` to LibTorch, OpenMP and OpenBLAS alike. Call once, before any parallel work.
void set_threads(int threads);

/// "LibTorch 1.13.1 (CPU)" and the like, for /environment.
std::string torch_description();

/// While alive: autocast to bfloat16 if `precision` is "bfloat16", none if it is "float32", also inside another scope. Not copyable.
class PrecisionScope {
public:
    PrecisionScope(const std::string& precision, torch::Device device);
    ~PrecisionScope();
    PrecisionScope(const PrecisionScope&) = delete;
    PrecisionScope& operator=(const PrecisionScope&) = delete;

private:
    bool active_ = false;
    bool previous_ = false;
    torch::ScalarType previous_type_ = torch::kFloat32;
    torch::Device device_;
};

}  // namespace cmsweep
