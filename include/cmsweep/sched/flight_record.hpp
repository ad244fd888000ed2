#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cmsweep/base/id.hpp"
#include "cmsweep/plan/task.hpp"

// What each rank is computing, on disk, so that the next start can tell which task killed a process.
namespace cmsweep {

/// One rank's note of its running task. An orderly end removes it; what is found at a start was in flight when a run died.
class FlightRecord {
public:
    /// Files lie in `folder`, which is made. Throws StorageError.
    FlightRecord(const std::filesystem::path& folder, int rank);
    ~FlightRecord();
    FlightRecord(const FlightRecord&) = delete;
    FlightRecord& operator=(const FlightRecord&) = delete;

    void begin(const Task& task, bool alone);
    void end();
    /// From now on SIGSEGV, SIGBUS, SIGILL, SIGFPE and SIGABRT leave a crash record that names the running task, then do what
    /// they did before. One record a process.
    void catch_crashes();
    /// The run ends in order: nothing of this rank stays.
    void remove();

private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

/// From now on an end of this rank, or of all, is somebody's will: a task that it cuts short is not to blame. Needs a FlightRecord,
/// does nothing without. Async-signal-safe.
void note_planned_stop(bool of_all_ranks);

/// A task that was in flight at an unclean end.
struct Flight {
    Id task;
    std::string label;
    bool alone = false;   ///< nothing else ran
    std::string crash;    ///< the signal, if this rank left a crash record: "SIGSEGV"
};
/// All flights of the folder; torn notes are left out, and where a stop was planned those without a crash record.
std::vector<Flight> read_flights(const std::filesystem::path& folder);
/// Forgets them, once they have been counted.
void remove_flights(const std::filesystem::path& folder);

}  // namespace cmsweep
