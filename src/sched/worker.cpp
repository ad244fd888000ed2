#include "cmsweep/sched/worker.hpp"

#include <new>
#include <stdexcept>
#include <utility>

#include "clock.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"

namespace cmsweep {

Worker::Worker(Transport& transport, TaskRunner& runner, ResultSink& sink, AddRecord add, WorkerOptions options)
    : transport_(transport), runner_(runner), sink_(sink), add_(std::move(add)), options_(options) {}

void Worker::send(Message::Kind kind, nlohmann::json body) {
    transport_.send(0, {kind, transport_.rank(), std::move(body)});
    last_sent_ = steady_seconds();
}

nlohmann::json Worker::counts() const {
    return {{"task", task_}, {"done", done_}, {"failed", failed_}, {"news", sink_.has_news()}, {"commits", commits_}};
}

void Worker::commit() {
    try {
        sink_.commit();
    } catch (...) {
        // Other ranks may still be inside: not a failure of the task that happens to run, but the end of this run.
        commit_failure_ = std::current_exception();
        throw;
    }
    ++commits_;
}

/// Every assign is answered, so that the master knows when all are done.
void Worker::drop(const Task& task) {
    task_ = task.id;
    done_ = failed_ = 0;
    auto body = counts();
    body.update({{"outcome", "unfinished"}, {"retryable", true}, {"message", ""}, {"seconds", 0.0}});
    send(Message::Kind::finished, std::move(body));
}

void Worker::handle(const Message& message) {
    switch (message.kind) {
        case Message::Kind::assign: queue_.push_back({message.body.at("task").get<Task>(), message.body.value("alone", false)}); break;
        case Message::Kind::prepare: send(Message::Kind::ready, {{"round", message.body.at("round")}}); break;
        case Message::Kind::go: commit(); break;
        case Message::Kind::stop: stopping_ = true; break;
        case Message::Kind::finish: finish_ = message.body; break;
        default:
            throw std::logic_error("rank " + std::to_string(transport_.rank()) + " got message kind " +
                                   std::to_string(static_cast<int>(message.kind)) + ", which only workers send");
    }
}

void Worker::handle_all() {
    while (!finish_) {
        const auto message = transport_.receive(0);
        if (!message) return;
        handle(*message);
    }
}

SweepOutcome Worker::run() {
    while (true) {
        handle_all();
        if (finish_) {
            if (finish_->at("commit").get<bool>()) commit();
            return finish_->at("outcome").get<SweepOutcome>();
        }
        if (queue_.empty()) {
            if (const auto message = transport_.receive(1.0)) handle(*message);
            continue;
        }
        const auto [task, alone] = std::move(queue_.front());
        queue_.pop_front();
        if (stopping_) {
            drop(task);
        } else {
            run_task(task, alone);
        }
    }
}

void Worker::store(const Record& record) {
    if (fault_) throw StorageError(*fault_);
    try {
        add_(record);
    } catch (const StorageError& error) {
        fault_ = error.what();  // kept, in case the runner takes it for a failure of its own
        throw;
    }
}

void Worker::result(Record record) {
    store(record);
    undelivered_.erase({record.table, record.id});
    if (record.status == RowStatus::done) {
        ++done_;
    } else {
        ++failed_;
        if (first_failure_.empty()) first_failure_ = record.message;
    }
    const double now = steady_seconds();
    if (now - last_news_ < options_.news_seconds) return;
    last_news_ = now;
    send(Message::Kind::news, counts());
}

void Worker::publish(const Id& asset) { send(Message::Kind::published, {{"asset", asset}}); }

void Worker::safe_point() {
    const double now = steady_seconds();
    if (now < next_look_) return;
    handle_all();
    if (now - last_sent_ > options_.heartbeat_seconds) send(Message::Kind::alive, {});
    next_look_ = steady_seconds() + options_.look_seconds;
    if (fault_) throw StorageError(*fault_);
    if (stopping_) throw StopRequest();
}

Worker::Ending Worker::execute(const Task& task) {
    try {
        fault_point("task " + task.label);
        runner_.run(task, *this);
        fault_point("end " + std::string(task_kind_name(task.kind)));
        return {};
    } catch (const StopRequest&) {
        return {"unfinished", true, ""};
    } catch (const StorageError& error) {
        if (!fault_) fault_ = error.what();
        return {"unfinished", true, error.what()};
    } catch (const NumericError& error) {
        return {"failed", false, error.what()};
    } catch (const std::bad_alloc&) {
        return {"failed", true, "out of memory"};
    } catch (const std::exception& error) {
        return {"failed", true, error.what()};
    } catch (...) {
        return {"failed", true, "unknown exception"};
    }
}

void Worker::fail_undelivered(const Ending& ending, double seconds) {
    for (const auto& key : undelivered_) {
        Record record;
        record.table = key.table;
        record.id = key.id;
        record.status = RowStatus::failed;
        record.retryable = ending.retryable;
        record.message = ending.message;
        record.seconds = seconds;
        store(record);
        ++failed_;
    }
}

void Worker::run_task(const Task& task, bool alone) {
    task_ = task.id;
    undelivered_ = {task.results.begin(), task.results.end()};
    done_ = failed_ = 0;
    first_failure_.clear();
    last_news_ = steady_seconds();
    const double start = last_news_;
    send(Message::Kind::started, {{"task", task_}});
    if (options_.started) options_.started(task, alone);
    Ending ending = execute(task);
    if (options_.ended) options_.ended();
    if (commit_failure_) std::rethrow_exception(commit_failure_);
    const double seconds = steady_seconds() - start;
    if (ending.outcome == "done" && !undelivered_.empty()) {
        ending = stopping_ ? Ending{"unfinished", true, ""}
                           : Ending{"failed", true, "the task ended without delivering this result"};
    }
    if (fault_) ending = {"unfinished", true, *fault_};
    if (ending.outcome == "failed") {
        try {
            fail_undelivered(ending, seconds);
        } catch (const StorageError& error) {
            ending = {"unfinished", true, error.what()};
        }
    }
    if (fault_) send(Message::Kind::fault, {{"message", *fault_}});
    if (ending.message.empty()) ending.message = first_failure_;
    auto body = counts();
    body.update({{"outcome", ending.outcome},
                 {"retryable", ending.retryable},
                 {"message", ending.message},
                 {"seconds", seconds}});
    send(Message::Kind::finished, std::move(body));
}

}  // namespace cmsweep
