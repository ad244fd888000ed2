#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

namespace cmsweep {

/// Shows a run's progress: a bar on a terminal, a line every 10 s elsewhere; and writes <output>.d/status.json, which
/// `cmsweep status` reads. The snapshot's keys are those of status.json.
class ProgressDisplay {
public:
    ProgressDisplay(std::filesystem::path status_file, int verbosity);
    /// Call often; draws and writes when it is time. `snapshot`: see progress_json() in run.cpp.
    void update(const nlohmann::json& snapshot, double now);
    /// The last state, for good.
    void finish(const nlohmann::json& snapshot);

private:
    void write(const nlohmann::json& snapshot);
    std::filesystem::path status_file_;
    bool terminal_;
    int verbosity_;
    double next_line_ = 0, next_file_ = 0;
};

}  // namespace cmsweep
