#pragma once

#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"
#include "cmsweep/plan/tables.hpp"
#include "cmsweep/plan/task.hpp"
#include "cmsweep/sched/master.hpp"
#include "cmsweep/sched/message.hpp"

namespace cmsweep {

/// What a running task may do: hand over results, announce assets, pause at safe points. From the thread that runs the
/// task only.
class TaskContext {
public:
    virtual ~TaskContext() = default;
    /// The result is journaled when this returns.
    virtual void result(Record record) = 0;
    virtual void publish(const Id& asset) = 0;
    /// Call in every loop over about a second; costs a clock reading most of the time. May take part in a commit.
    /// Throws StopRequest when the run must end.
    virtual void safe_point() = 0;
};

/// Executes tasks; implemented by src/exec. Throws: NumericError and other exceptions fail the results that the task has
/// not delivered yet (NumericError for good, others until the next start); StorageError stops the sweep; StopRequest
/// means that it will be continued on the next start.
class TaskRunner {
public:
    virtual ~TaskRunner() = default;
    virtual void run(const Task& task, TaskContext& context) = 0;
};

struct WorkerOptions {
    double look_seconds = 0.02;      ///< least time between two looks at the messages from within a task
    double heartbeat_seconds = 5;    ///< longest silence at safe points
    double news_seconds = 0.5;       ///< least time between two reports of results from within a task
    std::function<void(const Task& task, bool alone)> started;  ///< before each task; may be empty
    std::function<void()> ended;                                ///< after each task, however it ended; may be empty
};

/// One rank that computes: takes tasks from the master, runs them, and joins commits at safe points.
class Worker final : public TaskContext {
public:
    using AddRecord = std::function<void(const Record&)>;

    /// `add` makes a record durable (Store::add). Nothing is owned.
    Worker(Transport& transport, TaskRunner& runner, ResultSink& sink, AddRecord add, WorkerOptions options = {});

    /// [collective, with the master and all workers] Until the master says finish. Throws what commit() throws: the other
    /// ranks may be inside the collective call then, so the caller must abort them.
    SweepOutcome run();

    void result(Record record) override;
    void publish(const Id& asset) override;
    void safe_point() override;

private:
    struct Ending {
        std::string outcome = "done";
        bool retryable = false;
        std::string message;
    };
    void send(Message::Kind kind, nlohmann::json body);
    void handle(const Message& message);
    void handle_all();
    void commit();
    void drop(const Task& task);
    void run_task(const Task& task, bool alone);
    Ending execute(const Task& task);
    void fail_undelivered(const Ending& ending, double seconds);
    void store(const Record& record);
    nlohmann::json counts() const;

    Transport& transport_;
    TaskRunner& runner_;
    ResultSink& sink_;
    AddRecord add_;
    WorkerOptions options_;

    struct Assigned {
        Task task;
        bool alone = false;  ///< nothing else runs on any rank
    };
    std::deque<Assigned> queue_;
    std::optional<nlohmann::json> finish_;
    bool stopping_ = false;
    std::int64_t commits_ = 0;
    std::optional<std::string> fault_;
    std::exception_ptr commit_failure_;

    // of the running task
    Id task_;
    std::set<ResultKey> undelivered_;
    std::int64_t done_ = 0, failed_ = 0;
    std::string first_failure_;

    double next_look_ = 0, last_sent_ = 0, last_news_ = 0;
};

}  // namespace cmsweep
