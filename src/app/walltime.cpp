#include "walltime.hpp"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>

namespace cmsweep {
namespace {

/// What squeue knows this job by. The last job of an array has the array's own id, which means all of its jobs.
std::string job_name() {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    const std::string array = variable("SLURM_ARRAY_JOB_ID"), place = variable("SLURM_ARRAY_TASK_ID");
    return array.empty() || place.empty() ? variable("SLURM_JOB_ID") : array + "_" + place;
}

/// Unix time of a job's end, as `squeue -o %e` prints it: 2026-01-31T12:00:00, local time. Nothing where squeue is missing
/// or does not know.
std::optional<double> end_from_squeue(const std::string& job) {
    if (job.empty() || job.find_first_not_of("0123456789_") != std::string::npos) return std::nullopt;
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("SLURM_TIME_FORMAT=standard squeue -h -j " + job + " -o %e 2>/dev/null").c_str(), "r"), pclose);
    if (!pipe) return std::nullopt;
    std::array<char, 64> line{};
    if (!std::fgets(line.data(), line.size(), pipe.get())) return std::nullopt;
    std::tm time{};
    if (!strptime(line.data(), "%Y-%m-%dT%H:%M:%S", &time)) return std::nullopt;
    time.tm_isdst = -1;
    return static_cast<double>(std::mktime(&time));
}

}  // namespace

std::optional<double> seconds_left(double given) {
    if (given > 0) return given;
    const auto now = static_cast<double>(std::time(nullptr));
    if (const char* end = std::getenv("SLURM_JOB_END_TIME")) {
        const double time = std::strtod(end, nullptr);
        if (time > 0) return time - now;
    }
    if (const auto end = end_from_squeue(job_name())) return *end - now;
    return std::nullopt;
}

}  // namespace cmsweep
