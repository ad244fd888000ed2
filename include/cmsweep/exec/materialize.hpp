#pragma once

#include <cstdint>
#include <filesystem>

#include "cmsweep/exec/job.hpp"
#include "cmsweep/plan/task.hpp"

namespace cmsweep {

/// Makes the network of one row of a merge task again, a merge in parameter space or a model alone, from the checkpoints of its
/// members, and writes it as a Hugging Face checkpoint: config.json, safetensors of at most `shard_bytes` each, the tokenizer's
/// files. `folder` appears when it is whole; a call that throws leaves nothing in its place or beside it. Throws InputError (a
/// checkpoint or text is missing), NumericError, StorageError.
void materialize(const Job& job, const Task& task, const Id& row, const std::filesystem::path& folder, std::uint64_t shard_bytes);

}  // namespace cmsweep
