#include "cmsweep/model/device.hpp"

#include <omp.h>

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/cuda.h>
#include <torch/version.h>

#include "cmsweep/base/error.hpp"

// OpenBLAS' own switch; Debian installs no header for it beside the generic cblas.h.
extern "C" void openblas_set_num_threads(int threads);

namespace cmsweep {

// The interface per device type came with 2.4; before, the CPU and the GPU have separate functions.
#define CMSWEEP_AUTOCAST_BY_DEVICE (TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4))

namespace {

bool autocast_enabled([[maybe_unused]] torch::Device device) {
#if CMSWEEP_AUTOCAST_BY_DEVICE
    return at::autocast::is_autocast_enabled(device.type());
#else
    return device.is_cuda() ? at::autocast::is_enabled() : at::autocast::is_cpu_enabled();
#endif
}

void enable_autocast(torch::Device device, bool enabled) {
#if CMSWEEP_AUTOCAST_BY_DEVICE
    at::autocast::set_autocast_enabled(device.type(), enabled);
#else
    if (device.is_cuda())
        at::autocast::set_enabled(enabled);
    else
        at::autocast::set_cpu_enabled(enabled);
#endif
}

at::ScalarType autocast_type(torch::Device device) {
#if CMSWEEP_AUTOCAST_BY_DEVICE
    return at::autocast::get_autocast_dtype(device.type());
#else
    return device.is_cuda() ? at::autocast::get_autocast_gpu_dtype() : at::autocast::get_autocast_cpu_dtype();
#endif
}

void set_autocast_type(torch::Device device, at::ScalarType type) {
#if CMSWEEP_AUTOCAST_BY_DEVICE
    at::autocast::set_autocast_dtype(device.type(), type);
#else
    if (device.is_cuda())
        at::autocast::set_autocast_gpu_dtype(type);
    else
        at::autocast::set_autocast_cpu_dtype(type);
#endif
}

}  // namespace

torch::Device choose_device(const std::string& wanted, int local_rank) {
    if (wanted != "auto" && wanted != "cpu" && wanted != "cuda")
        throw InputError("run.device = \"" + wanted + "\": expected \"auto\", \"cpu\" or \"cuda\"");
    if (wanted == "cpu") return torch::Device(torch::kCPU);
    const auto count = static_cast<int>(torch::cuda::is_available() ? torch::cuda::device_count() : 0);
    if (count == 0) {
        if (wanted == "cuda")
            throw InputError("run.device = \"cuda\": " + torch_description() +
                             " sees no CUDA device; use a LibTorch built with CUDA on a node with a GPU, or \"auto\" or \"cpu\"");
        return torch::Device(torch::kCPU);
    }
    return torch::Device(torch::kCUDA, static_cast<torch::DeviceIndex>(local_rank % count));
}

void set_threads(int threads) {
    at::set_num_threads(threads);
    omp_set_num_threads(threads);
    openblas_set_num_threads(threads);
}

std::string torch_description() {
    return std::string("LibTorch ") + TORCH_VERSION + (torch::cuda::is_available() ? " (CUDA)" : " (CPU)");
}

PrecisionScope::PrecisionScope(const std::string& precision, torch::Device device) : device_(device) {
    if (precision != "float32" && precision != "bfloat16")
        throw InputError("run.precision = \"" + precision + "\": expected \"float32\" or \"bfloat16\"");
    const bool wanted = precision == "bfloat16";
    previous_ = autocast_enabled(device_);
    if (!wanted && !previous_) return;
    active_ = true;
    previous_type_ = autocast_type(device_);
    if (wanted) set_autocast_type(device_, at::kBFloat16);
    enable_autocast(device_, wanted);
    at::autocast::increment_nesting();
}

PrecisionScope::~PrecisionScope() {
    if (!active_) return;
    // The cache holds bfloat16 copies of weights; a later scope must not see those of before an optimiser's step.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    enable_autocast(device_, previous_);
    set_autocast_type(device_, previous_type_);
}

}  // namespace cmsweep
