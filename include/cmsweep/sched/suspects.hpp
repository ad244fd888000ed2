#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cmsweep/base/id.hpp"
#include "cmsweep/sched/flight_record.hpp"

namespace cmsweep {

/// Tasks that were in flight when runs died, and what follows for them: two crash records, or three unclean ends without a
/// new step checkpoint in between (out of memory and kill -9 leave no crash record), and a task is run once more, alone; if
/// the process dies again it is quarantined. Where some rank left a crash record the other ranks' tasks are bystanders and
/// are not counted. Kept in a small file beside the journals.
class Suspects {
public:
    /// Reads `file` if it is there; a damaged one is as good as none.
    explicit Suspects(std::filesystem::path file);

    /// Counts the flights of one unclean end. `progress(task)` tells its newest step checkpoint from older ones.
    void count(const std::vector<Flight>& flights, const std::function<std::string(const Id&)>& progress);
    /// Forgets tasks that are not pending any more, quarantined ones excepted.
    void keep_only(const std::set<Id>& pending);
    /// Throws StorageError. No file is kept for no suspects.
    void save() const;

    /// To be run with nothing else in flight.
    std::set<Id> alone() const;
    /// With the message for their results.
    std::map<Id, std::string> quarantined() const;

private:
    struct Entry {
        std::string label;
        int crashes = 0;
        int ends = 0;
        std::string progress, cause;
        bool quarantined = false;
    };
    static bool suspicious(const Entry& entry);
    std::filesystem::path file_;
    std::map<Id, Entry> entries_;
};

}  // namespace cmsweep
