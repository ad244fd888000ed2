#pragma once

#include <memory>

#include "cmsweep/exec/job.hpp"
#include "cmsweep/sched/worker.hpp"

namespace cmsweep {

/// Executes every kind of task on this rank's device. `local_rank` (within the node) chooses among the node's GPUs.
/// Keeps recently used checkpoints and representations in memory.
std::unique_ptr<TaskRunner> make_executor(const Job& job, int local_rank);

/// "auto", "cpu", "cuda" -> the kind this rank would use, "cpu" or "cuda". Throws InputError if CUDA is wanted and missing.
std::string resolve_device_kind(const std::string& wanted);

/// For /environment and --version.
std::string torch_version_text();

/// Applies `threads` to LibTorch, OpenMP and OpenBLAS alike.
void apply_threads(int threads);

}  // namespace cmsweep
