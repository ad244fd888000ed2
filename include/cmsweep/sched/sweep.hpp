#pragma once

#include <functional>
#include <stdexcept>
#include <vector>

#include "cmsweep/plan/task.hpp"
#include "cmsweep/sched/master.hpp"
#include "cmsweep/sched/message.hpp"
#include "cmsweep/sched/worker.hpp"

// A whole run, seen from each rank. Rank 0 of several only dispatches; a single rank does both through the same code.
namespace cmsweep {

/// What the owner of a run gives and gets at rank 0. All may be empty.
struct SweepHooks {
    std::function<bool()> stop_requested;              ///< polled about every 0.1 s: a signal came
    std::function<void(const Progress&)> progress;     ///< every `progress_seconds`, and once at the end
    std::function<void(const SweepEvent&)> event;
    double progress_seconds = 0.5;
};

/// The tasks to do (pending_tasks) and how.
struct Sweep {
    std::vector<Task> tasks;
    std::function<bool(const Id& asset)> exists;       ///< is it on disk already?
    MasterOptions options;
    SweepHooks hooks;
};

/// Some ranks hang; their tasks' failures are stored. The caller must end all ranks by force.
class HungRanks : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// [collective: rank 0 of at least 2, while every other rank calls run_worker] `add` stores the failures of tasks that
/// cannot start. All ranks return the same outcome after the last commit; none was made if there is a fault. Throws what
/// commit() throws, and HungRanks, or StorageError where ranks hang after a fault; the caller must abort the other ranks then.
SweepOutcome run_master(Sweep sweep, Transport& transport, ResultSink& sink, Worker::AddRecord add);

/// [collective] Every rank but 0.
SweepOutcome run_worker(Transport& transport, TaskRunner& runner, ResultSink& sink, Worker::AddRecord add,
                        WorkerOptions options = {});

/// Master and worker in one process (`-n 1`). `stop_requested` is polled at safe points.
SweepOutcome run_single(Sweep sweep, TaskRunner& runner, ResultSink& sink, Worker::AddRecord add,
                        WorkerOptions options = {});

}  // namespace cmsweep
