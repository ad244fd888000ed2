#include "cmsweep/sched/sweep.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>

#include "clock.hpp"
#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

/// Longest wait for a message at rank 0: how late a stop request, a commit or a progress line may be.
constexpr double kMasterWait = 0.1;

/// The master with what surrounds it on rank 0: a clock, the store of blocked results, the owner's hooks.
class Desk {
public:
    Desk(Sweep sweep, std::vector<int> workers, Worker::AddRecord add)
        : master(std::move(sweep.tasks), sweep.exists, std::move(workers), sweep.options),
          hooks_(std::move(sweep.hooks)),
          add_(std::move(add)),
          start_(steady_seconds()) {}

    double now() const { return steady_seconds() - start_; }

    /// The next step, its failures recorded and its events told; messages and commits are left to the caller.
    Master::Step step() {
        if (hooks_.stop_requested && hooks_.stop_requested()) master.stop();
        auto step = master.step(now());
        try {
            for (const auto& blocked : step.blocked) record(blocked);
        } catch (const StorageError& error) {
            master.fault(error.what(), 0);
        }
        if (hooks_.event) {
            for (const auto& event : step.events) hooks_.event(event);
        }
        if (hooks_.progress && (step.finished || now() >= next_progress_)) {
            next_progress_ = now() + hooks_.progress_seconds;
            hooks_.progress(master.progress(now()));
        }
        return step;
    }

    Master master;

private:
    void record(const Master::Blocked& blocked) {
        for (const auto& key : blocked.results) {
            Record record;
            record.table = key.table;
            record.id = key.id;
            record.status = blocked.quarantined ? RowStatus::quarantined : RowStatus::failed;
            record.retryable = blocked.retryable;
            record.message = blocked.quarantined || blocked.timed_out ? blocked.reason : "not computed: " + blocked.reason;
            record.seconds = blocked.seconds;
            add_(record);
            master.news();
        }
    }

    SweepHooks hooks_;
    Worker::AddRecord add_;
    double start_;
    double next_progress_ = 0;
};

}  // namespace

SweepOutcome run_master(Sweep sweep, Transport& transport, ResultSink& sink, Worker::AddRecord add) {
    if (transport.rank() != 0 || transport.size() < 2) {
        throw std::invalid_argument("run_master on rank " + std::to_string(transport.rank()) + " of " +
                                    std::to_string(transport.size()) + ": expected rank 0 of at least 2");
    }
    std::vector<int> workers(static_cast<std::size_t>(transport.size() - 1));
    std::iota(workers.begin(), workers.end(), 1);
    Desk desk(std::move(sweep), std::move(workers), std::move(add));
    while (true) {
        const auto step = desk.step();
        if (step.abandoned) {
            std::string tasks;
            for (const auto& blocked : step.blocked) {
                if (blocked.timed_out) tasks += "\n  " + blocked.label + ": " + blocked.reason;
            }
            const std::string why = "ended by force, since nothing but hanging tasks was left:" + tasks;
            // Told first: another start would meet it again.
            if (const auto fault = desk.master.outcome().fault; !fault.empty()) {
                throw StorageError("storage failure: " + fault + '\n' + why + "\nthe results so far are safe; make room and run again");
            }
            throw HungRanks(why);
        }
        for (const auto& [rank, message] : step.send) transport.send(rank, message);
        if (step.commit) {
            const double start = desk.now();
            sink.commit();
            desk.master.committed(desk.now(), desk.now() - start);
        }
        if (step.finished) {
            if (step.last_commit) sink.commit();
            return desk.master.outcome();
        }
        auto message = transport.receive(step.commit ? 0 : kMasterWait);
        while (message) {
            desk.master.receive(*message, desk.now());
            message = transport.receive(0);
        }
    }
}

SweepOutcome run_worker(Transport& transport, TaskRunner& runner, ResultSink& sink, Worker::AddRecord add,
                        WorkerOptions options) {
    return Worker(transport, runner, sink, std::move(add), options).run();
}

namespace {

/// The worker's end of a transport inside one process: whenever the worker looks for messages, the master takes a step.
class InProcess final : public Transport {
public:
    explicit InProcess(Desk& desk) : desk_(desk) {}
    int rank() const override { return 0; }
    int size() const override { return 1; }
    void send(int, const Message& message) override { to_master_.push_back(message); }

    std::optional<Message> receive(double timeout) override {
        const double end = steady_seconds() + timeout;
        while (true) {
            pump();
            if (!to_worker_.empty()) {
                auto message = std::move(to_worker_.front());
                to_worker_.pop_front();
                return message;
            }
            const double left = end - steady_seconds();
            if (left <= 0) return std::nullopt;
            // Only time can change anything now.
            std::this_thread::sleep_for(std::chrono::duration<double>(std::min(left, 0.005)));
        }
    }

private:
    void pump() {
        for (; !to_master_.empty(); to_master_.pop_front()) desk_.master.receive(to_master_.front(), desk_.now());
        if (finished_) return;
        auto step = desk_.step();
        finished_ = step.finished;
        for (auto& [rank, message] : step.send) to_worker_.push_back(std::move(message));
    }

    Desk& desk_;
    std::deque<Message> to_master_, to_worker_;
    bool finished_ = false;
};

/// The worker's commit is the whole commit, so the master hears of it from here.
class CountedSink final : public ResultSink {
public:
    CountedSink(ResultSink& sink, Desk& desk) : sink_(sink), desk_(desk) {}
    bool has_news() const override { return sink_.has_news(); }
    void commit() override {
        const double start = desk_.now();
        sink_.commit();
        desk_.master.committed(desk_.now(), desk_.now() - start);
    }

private:
    ResultSink& sink_;
    Desk& desk_;
};

}  // namespace

SweepOutcome run_single(Sweep sweep, TaskRunner& runner, ResultSink& sink, Worker::AddRecord add, WorkerOptions options) {
    sweep.options.gives_up = false;
    Desk desk(std::move(sweep), {0}, add);
    InProcess transport(desk);
    CountedSink counted(sink, desk);
    Worker(transport, runner, counted, std::move(add), options).run();
    return desk.master.outcome();
}

}  // namespace cmsweep
