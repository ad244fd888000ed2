#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"
#include "cmsweep/plan/task.hpp"
#include "cmsweep/sched/message.hpp"

namespace cmsweep {

/// Times are seconds on the master's clock, which starts at 0 with the run.
struct MasterOptions {
    double commit_seconds = 5;    ///< least time between commits
    double task_timeout = 7200;   ///< time without a safe point after which a worker is reported; after twice that it is given up
    bool gives_up = true;         ///< false where the master lives in the worker's process: who can ask does not hang
    double deadline = std::numeric_limits<double>::infinity();  ///< stop here; nothing is started that would not be done by then
    int queue_ahead = 1;          ///< tasks that wait at a worker behind the running one
    double queue_below = 2;       ///< only tasks shorter than this many seconds are sent ahead, and behind such tasks only
    std::map<TaskKind, double> seconds_per_work;  ///< of earlier runs, by kind of task, if known
    std::set<Id> alone;                           ///< tasks under suspicion: each runs when nothing else does, after all others
    std::map<Id, std::string> quarantined;        ///< tasks that are not run, with the message for their results
};

/// How a sweep went. Counts are of results; done + failed + blocked + unfinished is all of them. The same on every rank.
struct SweepOutcome {
    std::int64_t done = 0;
    std::int64_t failed = 0;      ///< their own computation failed
    std::int64_t blocked = 0;     ///< a task that they need failed
    std::int64_t unfinished = 0;  ///< left for the next start
    std::int64_t failed_tasks = 0;
    std::int64_t commits = 0;     ///< rounds during the run, the last one at the end not counted
    bool stopped = false;         ///< ended early on request or by the deadline
    std::string fault;            ///< storage failure that ended the run; empty: none. There was no last commit then
    std::map<TaskKind, double> seconds_per_work;  ///< learned or given; only at rank 0
};
void to_json(nlohmann::json& json, const SweepOutcome& outcome);
void from_json(const nlohmann::json& json, SweepOutcome& outcome);

/// A snapshot of a running sweep.
struct Progress {
    struct Counts {
        std::int64_t total = 0, done = 0, failed = 0, blocked = 0;
    };
    struct Running {
        int rank = 0;
        TaskKind kind = TaskKind::merge;
        std::string label;
        double since = 0;   ///< seconds that it has been running
        double silent = 0;  ///< seconds since the worker was last heard of
    };
    std::map<TaskKind, Counts> results;  ///< by the kind of task that computes them
    Counts all;
    std::int64_t tasks = 0, tasks_ended = 0;
    std::vector<Running> running;        ///< by rank; ranks without a task are missing
    int workers = 0;
    double elapsed = 0;                  ///< seconds
    double rate = 0;                     ///< results per second, over the last minute
    std::optional<double> eta;           ///< seconds; nothing before the first task has been timed
    std::int64_t commits = 0;
    bool stopping = false;
};

/// Something to tell people.
struct SweepEvent {
    enum class Kind : std::uint8_t {
        failed,     ///< a task failed or delivered failed results
        blocked,    ///< a task will never have what it needs
        overdue,    ///< no safe point for longer than task_timeout
        recovered,  ///< an overdue worker reached a safe point
        fault,      ///< storage failure
    };
    Kind kind = Kind::failed;
    int rank = 0;
    std::string task;     ///< label
    std::string message;
};

/// Decides who computes what, and when all ranks commit. A state machine: no messages are sent here, no clock is read.
///
/// Dispatch: a task may start when all assets it needs exist, whether their makers still run or not. Longest remaining
/// critical path first (own estimate + longest chain of dependents; ties by plan order), except that a worker gets a task
/// whose inputs it recently made or used if that one is nearly as long. Estimates are running means of seconds per unit
/// of work by kind of task. Short tasks are sent one ahead of need; nothing is sent ahead when few are left, nor
/// behind long ones, so that no worker sits on work that an idle one could do.
///
/// A rank that reaches no safe point cannot be interrupted, and no commit is possible without it. So it is given up only when
/// nothing else is left to do: at a stop once it is overdue, else after twice task_timeout. Its task counts as failed once, with
/// all that needs it, and the run must be ended from outside; what the others have finished is in their journals.
///
/// Suspects run one at a time with nothing else in flight, when nothing else is ready, so that a process's death can only be
/// theirs and costs little.
///
/// Commit rounds: `prepare` to all, each answers `ready` at its next safe point and works on, then `go` to all. Only
/// one order of collective calls is possible: commits in the order of `go`, then `finish` with the last one. A round that
/// is still being prepared when the sweep ends is simply overtaken by `finish`.
class Master {
public:
    /// `tasks`: in plan order. `exists`: is this asset on disk already? Asked once for every asset that some task needs.
    /// `workers`: ranks that compute.
    Master(std::vector<Task> tasks, const std::function<bool(const Id&)>& exists, std::vector<int> workers,
           MasterOptions options);

    void receive(const Message& message, double now);
    /// The owner has uncommitted results of its own (failures of blocked tasks).
    void news() { news_ = true; }
    /// No new tasks; running ones end at their next safe point.
    void stop() { stop_wanted_ = true; }
    /// A storage failure at the owner's.
    void fault(const std::string& message, int rank);
    /// The commit that a step asked for is over; it took `seconds`.
    void committed(double now, double seconds);

    struct Blocked {
        std::string label;
        std::vector<ResultKey> results;
        std::string reason;      ///< names the task that failed
        bool retryable = false;  ///< as the cause is
        bool quarantined = false;  ///< the task itself, not one that needs it
        bool timed_out = false;    ///< likewise
        double seconds = 0;        ///< that were waited for a rank that hangs
    };
    /// What the owner has to do, in this order.
    struct Step {
        std::vector<Blocked> blocked;  ///< record these failures
        std::vector<SweepEvent> events;
        std::vector<std::pair<int, Message>> send;
        bool commit = false;           ///< join the collective commit, then call committed()
        bool finished = false;         ///< do the last commit if `last_commit`, and leave
        bool last_commit = false;
        bool abandoned = false;        ///< ranks hang, nobody else has work: `blocked` has their tasks (timed_out) and their users; end by force
    };
    /// Call after every message and at least every 0.1 s.
    Step step(double now);

    Progress progress(double now) const;
    /// Final once a step said `finished`.
    SweepOutcome outcome() const;
    const Task& task(const Id& id) const { return entries_[index_.at(id)].task; }

private:
    enum class State : std::uint8_t { waiting, ready, assigned, done, failed, blocked, unfinished };
    struct Entry {
        Task task;
        State state = State::waiting;
        std::size_t missing = 0;  ///< needed assets that do not exist yet
        double priority = 0;
        std::int64_t results_done = 0, results_failed = 0;
    };
    struct Asset {
        bool exists = false;
        std::vector<std::size_t> makers, users;
        double priority = 0;  ///< of the most urgent user
    };
    struct WorkerState {
        int rank = 0;
        std::deque<std::size_t> queue;  ///< assigned and not finished; the first one runs
        std::deque<Id> recent;          ///< assets in its memory, the latest first
        double since = 0, heard = 0;
        bool ready = false;
        bool overdue = false;
    };
    struct Rate {
        double seconds = 0, work = 0;
        double used = 0;  ///< the value in the priorities
    };
    /// Most urgent first, then plan order.
    using Key = std::pair<double, std::size_t>;
    using Queue = std::set<Key>;

    bool open(const Entry& entry) const;
    double seconds_per_work(TaskKind kind) const;
    double estimate(const Task& task) const;
    bool timed(TaskKind kind) const { return rates_.count(kind) > 0; }
    Key key(std::size_t i) const { return {-entries_[i].priority, i}; }

    void order_tasks();
    void update_priorities();
    void make_ready(std::size_t i);
    void take(std::size_t i);
    void available(const Id& asset);
    void task_ended(WorkerState& worker, const Message& message, double now);
    void count_results(Entry& entry, const nlohmann::json& body);
    void learn(const Task& task, double seconds);
    /// After task `i` failed or was blocked: everything that can no longer have its needs.
    void block_dependents(std::size_t i, const std::string& reason, bool retryable);
    void block(std::size_t i, const std::string& reason, bool retryable);

    bool fits(std::size_t i, double now) const;
    std::optional<std::size_t> choose(const WorkerState& worker, double now) const;
    void assign(WorkerState& worker, std::size_t i, double now, Step& step);
    void dispatch(double now, Step& step);
    void quarantine(std::size_t i, const std::string& reason);
    void run_round(double now, Step& step);
    void watch(double now, Step& step);
    void tell_blocked(Step& step);
    void give_up(double now, Step& step);
    bool idle() const;
    Progress::Counts all_counts() const;
    void to_all(const Message& message, Step& step) const;

    MasterOptions options_;
    std::vector<Entry> entries_;
    std::unordered_map<Id, std::size_t> index_;
    std::unordered_map<Id, Asset> assets_;
    std::vector<std::size_t> order_;  ///< makers before users
    std::vector<WorkerState> workers_;
    std::map<int, std::size_t> worker_of_rank_;
    std::map<TaskKind, Rate> rates_;
    bool priorities_stale_ = true;

    Queue ready_;
    Queue ready_alone_;                 ///< ready, but under suspicion
    std::optional<std::size_t> alone_;  ///< the suspect that runs now
    std::unordered_map<Id, Queue> ready_by_asset_;

    std::vector<Blocked> new_blocked_;
    std::vector<SweepEvent> new_events_;
    std::map<TaskKind, Progress::Counts> counts_;
    std::int64_t tasks_ended_ = 0, failed_tasks_ = 0;
    std::deque<std::pair<double, std::int64_t>> pace_;  ///< (time, results so far), for the rate

    bool stop_wanted_ = false, stopping_ = false, finished_ = false;
    bool news_ = false, preparing_ = false;
    std::int64_t commits_ = 0;
    double commit_wait_ = 0;  ///< summed
    double last_commit_ = 0;
    std::string fault_;
};

}  // namespace cmsweep
