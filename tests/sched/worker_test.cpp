#include "cmsweep/sched/worker.hpp"

#include <deque>
#include <new>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "graph.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Everything that happens to a worker, in order: what it sends, its commits, its records, what its task does.
using Log = std::vector<std::string>;

/// Hands out prepared messages, one batch for each time that the worker looks.
class Script final : public Transport {
public:
    explicit Script(Log& log) : log_(log) {}
    int rank() const override { return 3; }
    int size() const override { return 4; }

    void say(Message::Kind kind, nlohmann::json body = {}) { coming_.push_back(Message{kind, 0, std::move(body)}); }
    void assign(const Task& task) { say(Message::Kind::assign, {{"task", task}}); }
    void finish(bool commit = true) {
        SweepOutcome outcome;
        outcome.done = 42;
        say(Message::Kind::finish, {{"commit", commit}, {"outcome", outcome}});
    }
    /// What was said up to now comes at one look, what follows at the next.
    void later() { coming_.push_back(std::nullopt); }

    void send(int to, const Message& message) override {
        EXPECT_EQ(to, 0);
        sent.push_back(message);
        static const std::vector<std::string> names{"started", "published", "finished", "news", "ready", "alive", "fault"};
        std::string line = names.at(static_cast<std::size_t>(message.kind));
        if (message.kind == Message::Kind::finished) line.append(" ").append(message.body.at("outcome").get<std::string>());
        if (line != "news") log_.push_back(line);
    }
    std::optional<Message> receive(double) override {
        if (coming_.empty()) {
            ADD_FAILURE() << "the script has ended but the worker waits on";
            throw std::logic_error("the script has ended");
        }
        auto next = std::move(coming_.front());
        coming_.pop_front();
        return next;
    }

    const nlohmann::json& last(Message::Kind kind) const {
        for (auto i = sent.rbegin(); i != sent.rend(); ++i) {
            if (i->kind == kind) return i->body;
        }
        throw std::logic_error("nothing of that kind was sent");
    }
    std::vector<Message> sent;

private:
    Log& log_;
    std::deque<std::optional<Message>> coming_;
};

class LoggedSink final : public ResultSink {
public:
    explicit LoggedSink(Log& log) : log_(log) {}
    bool has_news() const override { return news; }
    void commit() override {
        log_.push_back("commit");
        if (failure) std::rethrow_exception(failure);
        news = false;
    }
    bool news = false;
    std::exception_ptr failure;

private:
    Log& log_;
};

class LambdaRunner final : public TaskRunner {
public:
    std::function<void(const Task&, TaskContext&)> body = [](const Task&, TaskContext&) {};
    void run(const Task& task, TaskContext& context) override { body(task, context); }
};

struct WorkerTest : testing::Test {
    Log log;
    Script script{log};
    LoggedSink sink{log};
    LambdaRunner runner;
    std::vector<Record> records;
    bool disk_full = false;

    SweepOutcome run() {
        WorkerOptions options;
        options.look_seconds = 0;
        Worker worker(
            script, runner, sink,
            [&](const Record& record) {
                if (disk_full) throw StorageError("journal: no space left");
                records.push_back(record);
                sink.news = true;
                log.push_back(record.status == RowStatus::done ? "record" : "failure");
            },
            options);
        return worker.run();
    }
    static Record result_of(const Task& task, std::size_t i, RowStatus status = RowStatus::done) {
        Record record;
        record.table = task.results.at(i).table;
        record.id = task.results.at(i).id;
        record.status = status;
        if (status == RowStatus::failed) record.message = "loss is not finite";
        return record;
    }
    /// One task, then the end.
    void script_one(const Task& task) {
        script.assign(task);
        script.later();
        script.later();
        script.finish();
    }
};

TEST_F(WorkerTest, RunsATaskReportsItAndLeavesWithTheMastersOutcome) {
    const Task task = make_task("a", TaskKind::merge, 1, {}, {"asset"}, 2);
    runner.body = [](const Task& given, TaskContext& context) {
        context.result(result_of(given, 0));
        context.publish(given.produces.at(0));
        context.result(result_of(given, 1, RowStatus::failed));
    };
    script.assign(task);
    script.later();
    script.finish();
    EXPECT_EQ(run().done, 42);
    EXPECT_THAT(log, ElementsAre("started", "record", "published", "failure", "finished done", "commit"));
    const auto& ended = script.last(Message::Kind::finished);
    EXPECT_EQ(ended.at("done"), 1);
    EXPECT_EQ(ended.at("failed"), 1);
    EXPECT_EQ(ended.at("message"), "loss is not finite");
    EXPECT_EQ(ended.at("news"), true);
}

TEST_F(WorkerTest, AnswersPrepareAndJoinsTheCommitAtSafePointsInsideATask) {
    runner.body = [this](const Task& task, TaskContext& context) {
        log.push_back("step 1");
        context.safe_point();
        log.push_back("step 2");
        context.safe_point();
        log.push_back("step 3");
        context.result(result_of(task, 0));
    };
    script.assign(make_task("long", TaskKind::specialise, 1));
    script.later();
    script.say(Message::Kind::prepare, {{"round", 0}});
    script.later();
    script.say(Message::Kind::go);
    script.later();
    script.finish();
    run();
    EXPECT_THAT(log, ElementsAre("started", "step 1", "ready", "step 2", "commit", "step 3", "record", "finished done", "commit"));
    EXPECT_EQ(script.last(Message::Kind::finished).at("commits"), 1);
}

TEST_F(WorkerTest, AnIdleWorkerAnswersAtOnce) {
    script.later();
    script.say(Message::Kind::prepare, {{"round", 0}});
    script.later();
    script.say(Message::Kind::go);
    script.finish();
    run();
    EXPECT_THAT(log, ElementsAre("ready", "commit", "commit"));
}

TEST_F(WorkerTest, FinishInsteadOfGoStillMeansOneLastCommit) {
    script.say(Message::Kind::prepare, {{"round", 0}});
    script.finish();
    run();
    EXPECT_THAT(log, ElementsAre("ready", "commit"));
}

TEST_F(WorkerTest, StopEndsTheTaskAtASafePointAndAnswersForTheQueue) {
    runner.body = [this](const Task&, TaskContext& context) {
        try {
            while (true) context.safe_point();
        } catch (const StopRequest&) {
            log.push_back("state saved");
            throw;
        }
    };
    script.assign(make_task("a", TaskKind::merge, 1));
    script.assign(make_task("b", TaskKind::merge, 1));
    script.later();
    script.later();
    script.say(Message::Kind::stop);
    script.later();  // the end of the safe point
    script.later();  // before "b"
    script.finish();
    run();
    EXPECT_THAT(log, ElementsAre("started", "state saved", "finished unfinished", "finished unfinished", "commit"));
    EXPECT_EQ(script.last(Message::Kind::finished).at("task").get<Id>(), make_task("b", TaskKind::merge, 1).id);
    EXPECT_TRUE(records.empty());
}

TEST_F(WorkerTest, NumericErrorsFailWhatIsLeftForGood) {
    const Task task = make_task("a", TaskKind::merge, 1, {}, {}, 3);
    runner.body = [](const Task& given, TaskContext& context) {
        context.result(result_of(given, 1));
        throw NumericError("singular matrix");
    };
    script.assign(task);
    script.later();
    script.finish();
    run();
    ASSERT_EQ(records.size(), 3u);
    std::set<Id> failed;
    for (const auto& record : records) {
        if (record.status == RowStatus::done) continue;
        EXPECT_EQ(record.message, "singular matrix");
        EXPECT_FALSE(record.retryable);
        failed.insert(record.id);
    }
    EXPECT_EQ(failed, (std::set<Id>{task.results[0].id, task.results[2].id}));
    EXPECT_EQ(script.last(Message::Kind::finished).at("outcome"), "failed");
    EXPECT_EQ(script.last(Message::Kind::finished).at("retryable"), false);
}

TEST_F(WorkerTest, OtherExceptionsAreWorthAnotherStart) {
    const auto message_of = [&](auto throwing) {
        runner.body = throwing;
        records.clear();
        script.assign(make_task("a", TaskKind::merge, 1));
        script.later();
        script.finish();
        run();
        EXPECT_EQ(records.size(), 1u);
        EXPECT_TRUE(records.at(0).retryable);
        EXPECT_EQ(records.at(0).status, RowStatus::failed);
        return records.at(0).message;
    };
    EXPECT_EQ(message_of([](const Task&, TaskContext&) { throw InputError("truncated checkpoint"); }), "truncated checkpoint");
    EXPECT_EQ(message_of([](const Task&, TaskContext&) { throw std::bad_alloc(); }), "out of memory");
    EXPECT_EQ(message_of([](const Task&, TaskContext&) { throw 7; }), "unknown exception");
    EXPECT_THAT(message_of([](const Task&, TaskContext&) {}), HasSubstr("without delivering"));
}

TEST_F(WorkerTest, AStorageFailureIsAFaultAndNeverAFailedRow) {
    runner.body = [this](const Task& task, TaskContext& context) {
        disk_full = true;
        try {
            context.result(result_of(task, 0));
        } catch (const std::exception&) {
            // A runner that takes every exception for a failure of its row must not hide a full disk.
        }
    };
    script.assign(make_task("a", TaskKind::merge, 1));
    script.later();
    script.say(Message::Kind::stop);
    script.finish(/*commit=*/false);
    run();
    EXPECT_THAT(log, ElementsAre("started", "fault", "finished unfinished"));
    EXPECT_EQ(script.last(Message::Kind::fault).at("message"), "journal: no space left");
    EXPECT_TRUE(records.empty());
}

TEST_F(WorkerTest, AStorageFailureOfTheRunnerIsAFaultToo) {
    runner.body = [](const Task&, TaskContext&) { throw StorageError("checkpoint: I/O error"); };
    script.assign(make_task("a", TaskKind::merge, 1));
    script.later();
    script.finish(false);
    run();
    EXPECT_THAT(log, ElementsAre("started", "fault", "finished unfinished"));
}

TEST_F(WorkerTest, AFailingCommitEndsTheWorkerWhateverTheTaskDoesAboutIt) {
    sink.failure = std::make_exception_ptr(StorageError("read-back differs"));
    runner.body = [](const Task&, TaskContext& context) {
        try {
            context.safe_point();
        } catch (const std::exception&) {
        }
    };
    script.assign(make_task("a", TaskKind::merge, 1));
    script.later();
    script.say(Message::Kind::go);
    EXPECT_THROW(run(), StorageError);
    EXPECT_THAT(log, ElementsAre("started", "commit"));
}

}  // namespace
}  // namespace cmsweep
