#pragma once

#include <optional>
#include <string>

namespace cmsweep {

/// Seconds from now until this run must be over: `given` seconds if positive; else Slurm's end time (SLURM_JOB_END_TIME,
/// or squeue where Slurm sets no such variable); else nothing.
std::optional<double> seconds_left(double given);

}  // namespace cmsweep
