#include "cmsweep/sched/master.hpp"

#include <algorithm>
#include <map>
#include <string>

#include <gmock/gmock.h>

#include "cmsweep/base/files.hpp"
#include "graph.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

/// A master whose workers' answers the test writes by hand.
class Driven {
public:
    Driven(std::vector<Task> tasks, int workers, MasterOptions options = {},
           const std::function<bool(const Id&)>& exists = nothing_exists)
        : master_(std::move(tasks), exists, ranks(workers), std::move(options)) {}

    Master& master() { return master_; }

    /// Steps at `now` and returns what was sent: "1<-train" for an assignment, "1<-prepare", …, and "commit", "finished".
    std::vector<std::string> step(double now) {
        last_ = master_.step(now);
        std::vector<std::string> said;
        for (const auto& [rank, message] : last_.send) said.push_back(std::to_string(rank) + "<-" + text(message));
        if (last_.commit) said.push_back("commit");
        if (last_.finished) said.push_back("finished");
        return said;
    }
    const Master::Step& last() const { return last_; }

    void finish(int rank, const std::string& name, double now, double seconds = 1, int done = 1, bool news = true) {
        ended(rank, name, now, "done", seconds, done, 0, "", news);
    }
    void fail(int rank, const std::string& name, double now, bool retryable = true) {
        ended(rank, name, now, "failed", 1, 0, 1, "it broke", true, retryable);
    }
    void leave(int rank, const std::string& name, double now) { ended(rank, name, now, "unfinished", 1, 0, 0, "", false); }
    void ended(int rank, const std::string& name, double now, const std::string& outcome, double seconds, int done,
               int failed, const std::string& message, bool news, bool retryable = true) {
        master_.receive({Message::Kind::finished, rank,
                         {{"task", hash_text("task " + name)}, {"outcome", outcome}, {"retryable", retryable},
                          {"message", message}, {"seconds", seconds}, {"done", done}, {"failed", failed},
                          {"news", news}, {"commits", commits_[rank]}}},
                        now);
    }
    void news(int rank, const std::string& name, double now, int done) {
        master_.receive({Message::Kind::news, rank,
                         {{"task", hash_text("task " + name)}, {"done", done}, {"failed", 0}, {"news", true},
                          {"commits", commits_[rank]}}},
                        now);
    }
    void publish(int rank, const std::string& asset, double now) {
        master_.receive({Message::Kind::published, rank, {{"asset", hash_text(asset)}}}, now);
    }
    void ready(int rank, double now) {
        master_.receive({Message::Kind::ready, rank, {{"round", master_.outcome().commits}}}, now);
    }
    void alive(int rank, double now) { master_.receive({Message::Kind::alive, rank, {}}, now); }
    void joined(int rank) { ++commits_[rank]; }

private:
    static std::vector<int> ranks(int workers) {
        std::vector<int> all;
        for (int r = 1; r <= workers; ++r) all.push_back(r);
        return all;
    }
    static std::string text(const Message& message) {
        switch (message.kind) {
            case Message::Kind::assign: return message.body.at("task").at("label");
            case Message::Kind::prepare: return "prepare";
            case Message::Kind::go: return "go";
            case Message::Kind::stop: return "stop";
            case Message::Kind::finish: return "finish";
            default: return "?";
        }
    }
    Master master_;
    Master::Step last_;
    std::map<int, int> commits_;
};

MasterOptions quick() {
    MasterOptions options;
    options.commit_seconds = 1000;  // tests about dispatch see no rounds
    return options;
}

TEST(Master, StartsATaskOnlyWhenItsNeedsExist) {
    Driven run({make_task("train", TaskKind::specialise, 1e10, {}, {"model"}),
                make_task("merge", TaskKind::merge, 1e9, {"model", "base"})},
               2, quick(), [](const Id& asset) { return asset == hash_text("base"); });
    EXPECT_THAT(run.step(0), ElementsAre("1<-train"));
    run.finish(1, "train", 1);
    EXPECT_THAT(run.step(1), ElementsAre("1<-merge"));
    run.finish(1, "merge", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-finish", "2<-finish", "finished"));
    EXPECT_TRUE(run.last().last_commit);
    const auto outcome = run.master().outcome();
    EXPECT_EQ(outcome.done, 2);
    EXPECT_EQ(outcome.unfinished, 0);
    EXPECT_FALSE(outcome.stopped);
}

TEST(Master, APublishedAssetUnlocksDependentsWhileItsMakerStillRuns) {
    Driven run({make_task("train", TaskKind::specialise, 1e10, {}, {"degree 10", "degree 20"}),
                make_task("late", TaskKind::merge, 1e9, {"degree 20"}),
                make_task("early", TaskKind::merge, 1e9, {"degree 10"})},
               2, quick());
    EXPECT_THAT(run.step(0), ElementsAre("1<-train"));
    run.publish(1, "degree 10", 1);
    EXPECT_THAT(run.step(1), ElementsAre("2<-early"));
    run.finish(2, "early", 2);
    EXPECT_THAT(run.step(2), IsEmpty());  // the other one waits for its degree
    run.publish(1, "degree 20", 3);
    EXPECT_THAT(run.step(3), ElementsAre("2<-late"));
}

TEST(Master, TakesTheLongestCriticalPathFirstAndThenPlanOrder) {
    // "short" alone is the shortest task but 50 units of work hang on it.
    Driven run({make_task("a", TaskKind::merge, 10e9), make_task("b", TaskKind::merge, 10e9),
                make_task("long", TaskKind::merge, 30e9), make_task("short", TaskKind::merge, 1e9, {}, {"x"}),
                make_task("tail", TaskKind::merge, 50e9, {"x"})},
               1, quick());
    std::vector<std::string> order;
    double now = 0;
    for (int i = 0; i < 5; ++i) {
        const auto said = run.step(now++);
        ASSERT_EQ(said.size(), 1u);
        order.push_back(said[0].substr(3));
        run.finish(1, order.back(), now, /*seconds=*/100);
    }
    EXPECT_THAT(order, ElementsAre("short", "tail", "long", "a", "b"));
}

TEST(Master, PrefersATaskWhoseInputsTheWorkerHoldsIfItIsNearlyAsLong) {
    const auto tasks = [](double second) {
        return std::vector{make_task("use a", TaskKind::merge, 20e9, {"a"}), make_task("use b", TaskKind::merge, 19e9, {"b"}),
                           make_task("again a", TaskKind::merge, second, {"a"}),
                           make_task("again b", TaskKind::merge, 10e9, {"b"})};
    };
    const auto all = [](const Id&) { return true; };
    Driven near(tasks(9e9), 2, quick(), all);
    EXPECT_THAT(near.step(0), ElementsAre("1<-use a", "2<-use b"));
    near.finish(1, "use a", 1, 100);
    EXPECT_THAT(near.step(1), ElementsAre("1<-again a"));  // although "again b" is longer
    Driven far(tasks(3e9), 2, quick(), all);
    far.step(0);
    far.finish(1, "use a", 1, 100);
    EXPECT_THAT(far.step(1), ElementsAre("1<-again b"));  // three times as long: inputs do not matter
}

TEST(Master, LearnsHowLongEachKindTakes) {
    // By work alone the comparison is longer; measured, merges take 100 times as long per unit.
    Driven run({make_task("merge 1", TaskKind::merge, 1e9), make_task("compare 1", TaskKind::compare, 9e9),
                make_task("merge 2", TaskKind::merge, 1e9), make_task("compare 2", TaskKind::compare, 9e9)},
               2, quick());
    EXPECT_THAT(run.step(0), ElementsAre("1<-compare 1", "2<-compare 2"));
    run.finish(1, "compare 1", 1, 9);
    EXPECT_THAT(run.step(1), ElementsAre("1<-merge 1"));
    run.finish(1, "merge 1", 101, 100);
    const auto rates = run.master().outcome().seconds_per_work;
    EXPECT_DOUBLE_EQ(rates.at(TaskKind::compare), 9 / 9e9);
    EXPECT_DOUBLE_EQ(rates.at(TaskKind::merge), 100 / 1e9);
    // One merge of 100 s is left, and one comparison that has run for 101 s instead of 9.
    EXPECT_THAT(run.step(101), ElementsAre("1<-merge 2"));
    EXPECT_NEAR(run.master().progress(101).eta.value(), 100, 0.1);
}

TEST(Master, RecordedDurationsOrderTheFirstTasks) {
    auto options = quick();
    options.seconds_per_work = {{TaskKind::merge, 1e-7}, {TaskKind::compare, 1e-9}};
    Driven run({make_task("compare", TaskKind::compare, 9e9), make_task("merge", TaskKind::merge, 1e9)}, 1, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-merge"));
}

TEST(Master, SendsShortTasksAheadButNotNearTheEnd) {
    auto options = quick();
    options.seconds_per_work = {{TaskKind::merge, 1e-9}};
    std::vector<Task> tasks;
    for (int i = 0; i < 6; ++i) tasks.push_back(make_task(numbered(i), TaskKind::merge, 1e9));
    Driven run(tasks, 2, options);
    // Six tasks of 1 s: both workers get one and one ahead while more than two wait.
    EXPECT_THAT(run.step(0), ElementsAre("1<-m0", "2<-m1", "1<-m2", "2<-m3"));
    run.finish(1, "m0", 1);
    EXPECT_THAT(run.step(1), IsEmpty());  // two wait for two workers: whoever is idle first shall take them
    run.finish(1, "m2", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-m4"));
}

TEST(Master, SendsNothingAheadBehindALongTask) {
    auto options = quick();
    options.seconds_per_work = {{TaskKind::merge, 1e-9}, {TaskKind::specialise, 1e-9}};
    std::vector<Task> tasks{make_task("train", TaskKind::specialise, 300e9)};
    for (int i = 0; i < 8; ++i) tasks.push_back(make_task(numbered(i), TaskKind::merge, 1e9));
    Driven run(tasks, 2, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-train", "2<-m0", "2<-m1"));
}

TEST(Master, CommitsAfterAllAreReadyAndOnlyWhenThereIsNews) {
    MasterOptions options;
    options.commit_seconds = 5;
    Driven run({make_task("train", TaskKind::specialise, 100e9, {}, {"x"}), make_task("a", TaskKind::merge, 2e9),
                make_task("b", TaskKind::merge, 1e9)},
               2, options);
    run.step(0);
    EXPECT_THAT(run.step(6), IsEmpty());  // nothing new
    run.finish(2, "a", 7, 7);
    EXPECT_THAT(run.step(7), ElementsAre("2<-b", "1<-prepare", "2<-prepare"));
    run.ready(2, 7.1);
    EXPECT_THAT(run.step(7.1), IsEmpty());
    run.finish(2, "b", 7.5);  // works on while it waits
    EXPECT_THAT(run.step(7.5), IsEmpty());
    run.ready(1, 8);          // "train" is at a step, far from its end
    EXPECT_THAT(run.step(8), ElementsAre("1<-go", "2<-go", "commit"));
    run.master().committed(8.2, 0.2);
    EXPECT_THAT(run.step(20), IsEmpty());  // no news since
    EXPECT_EQ(run.master().outcome().commits, 1);
    // 50 times the wait of 0.2 s is 10 s, more than commit_seconds.
    run.joined(1);
    run.joined(2);
    run.news(1, "train", 17, 0);
    EXPECT_THAT(run.step(18.1), IsEmpty());
    EXPECT_THAT(run.step(18.3), ElementsAre("1<-prepare", "2<-prepare"));
}

TEST(Master, NewsFromBeforeACommitDoesNotCauseAnother) {
    MasterOptions options;
    options.commit_seconds = 1;
    Driven run({make_task("a", TaskKind::merge, 2e9), make_task("b", TaskKind::merge, 1e9)}, 1, options);
    run.step(0);
    run.finish(1, "a", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-b", "1<-prepare"));
    run.ready(1, 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-go", "commit"));
    run.news(1, "b", 2.1, 1);  // sent before the worker saw go: its result is in the commit
    run.master().committed(2.2, 0.001);
    EXPECT_THAT(run.step(9), IsEmpty());
    run.joined(1);
    run.news(1, "b", 9.5, 1);
    EXPECT_THAT(run.step(10), ElementsAre("1<-prepare"));
}

TEST(Master, FinishOvertakesARoundThatIsBeingPrepared) {
    MasterOptions options;
    options.commit_seconds = 1;
    Driven run({make_task("a", TaskKind::merge, 2e9), make_task("b", TaskKind::merge, 1e9)}, 2, options);
    run.step(0);
    run.finish(1, "a", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-prepare", "2<-prepare"));
    run.ready(1, 2.1);
    run.finish(2, "b", 2.2);
    EXPECT_THAT(run.step(2.2), ElementsAre("1<-finish", "2<-finish", "finished"));
}

TEST(Master, StopSendsNoMoreTasksAndLeavesAfterTheLastAnswer) {
    Driven run({make_task("a", TaskKind::merge, 3e9), make_task("b", TaskKind::merge, 2e9),
                make_task("c", TaskKind::merge, 1e9)},
               2, quick());
    run.step(0);
    run.master().stop();
    EXPECT_THAT(run.step(1), ElementsAre("1<-stop", "2<-stop"));
    run.finish(1, "a", 2);  // it was at its end
    EXPECT_THAT(run.step(2), IsEmpty());
    run.leave(2, "b", 3);
    EXPECT_THAT(run.step(3), ElementsAre("1<-finish", "2<-finish", "finished"));
    const auto outcome = run.master().outcome();
    EXPECT_TRUE(outcome.stopped);
    EXPECT_EQ(outcome.done, 1);
    EXPECT_EQ(outcome.unfinished, 2);
}

TEST(Master, ARoundInProgressIsCompletedAfterStop) {
    MasterOptions options;
    options.commit_seconds = 1;
    Driven run({make_task("a", TaskKind::merge, 2e9), make_task("b", TaskKind::merge, 1e9)}, 1, options);
    run.step(0);
    run.finish(1, "a", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-b", "1<-prepare"));
    run.master().stop();
    EXPECT_THAT(run.step(3), ElementsAre("1<-stop"));
    run.ready(1, 3);
    EXPECT_THAT(run.step(3), ElementsAre("1<-go", "commit"));
    run.leave(1, "b", 4);
    EXPECT_THAT(run.step(4), ElementsAre("1<-finish", "finished"));
}

TEST(Master, StoppedAtTheVeryEndIsNotStopped) {
    Driven run({make_task("a", TaskKind::merge, 1e9)}, 1, quick());
    run.step(0);
    run.finish(1, "a", 1);
    run.master().stop();
    EXPECT_THAT(run.step(1), ElementsAre("1<-stop", "1<-finish", "finished"));
    EXPECT_FALSE(run.master().outcome().stopped);
}

TEST(Master, StartsNothingThatWouldNotBeDoneByTheDeadline) {
    auto options = quick();
    options.deadline = 100;
    options.seconds_per_work = {{TaskKind::merge, 1e-9}};
    Driven run({make_task("long", TaskKind::merge, 60e9), make_task("longer", TaskKind::merge, 70e9),
                make_task("short", TaskKind::merge, 20e9)},
               1, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-longer"));
    run.finish(1, "longer", 70, 70);
    EXPECT_THAT(run.step(70), ElementsAre("1<-short"));  // 60 s do not fit
    run.finish(1, "short", 90, 20);
    EXPECT_THAT(run.step(90), ElementsAre("1<-finish", "finished"));
    EXPECT_TRUE(run.master().outcome().stopped);
    EXPECT_EQ(run.master().outcome().unfinished, 1);
}

TEST(Master, TriesATaskThatIsLongerThanTheWholeRun) {
    auto options = quick();
    options.deadline = 100;
    options.seconds_per_work = {{TaskKind::merge, 1e-9}};
    Driven run({make_task("too long", TaskKind::merge, 200e9), make_task("long", TaskKind::merge, 60e9)}, 1, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-too long"));
    EXPECT_THAT(run.step(100), ElementsAre("1<-stop"));
}

TEST(Master, TheDeadlineStopsRunningTasks) {
    auto options = quick();
    options.deadline = 100;
    Driven run({make_task("train", TaskKind::specialise, 1e15)}, 1, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-train"));
    EXPECT_THAT(run.step(99), IsEmpty());
    EXPECT_THAT(run.step(100), ElementsAre("1<-stop"));
}

TEST(Master, AFailedTaskBlocksItsDependentsWithTheReason) {
    Driven run({make_task("train", TaskKind::specialise, 9e9, {}, {"d1", "d2"}),
                make_task("merge 1", TaskKind::merge, 1e9, {"d1"}),
                make_task("features 2", TaskKind::represent, 1e9, {"d2"}, {"f2"}),
                make_task("compare 2", TaskKind::compare, 1e9, {"f2"}, {}, 3), make_task("other", TaskKind::merge, 1e9)},
               1, quick());
    run.step(0);
    run.publish(1, "d1", 1);
    run.fail(1, "train", 2, /*retryable=*/false);
    EXPECT_THAT(run.step(2), ElementsAre("1<-merge 1"));  // its degree had been saved
    const auto& blocked = run.last().blocked;
    ASSERT_EQ(blocked.size(), 2u);
    EXPECT_EQ(blocked[0].label, "features 2");
    EXPECT_EQ(blocked[1].label, "compare 2");
    EXPECT_EQ(blocked[1].results.size(), 3u);
    EXPECT_THAT(blocked[1].reason, HasSubstr("'train' failed: it broke"));
    EXPECT_FALSE(blocked[1].retryable);
    run.finish(1, "merge 1", 3);
    EXPECT_THAT(run.step(3), ElementsAre("1<-other"));
    run.finish(1, "other", 4);
    EXPECT_THAT(run.step(4), ElementsAre("1<-finish", "finished"));
    const auto outcome = run.master().outcome();
    EXPECT_EQ(outcome.done, 2);
    EXPECT_EQ(outcome.failed, 1);
    EXPECT_EQ(outcome.blocked, 4);
    EXPECT_EQ(outcome.unfinished, 0);
    EXPECT_EQ(outcome.failed_tasks, 1);
}

TEST(Master, AnotherMakerOfAnAssetKeepsItsUsersWaiting) {
    Driven run({make_task("first", TaskKind::represent, 2e9, {}, {"f"}), make_task("second", TaskKind::represent, 1e9, {}, {"f"}),
                make_task("use", TaskKind::compare, 1e9, {"f"})},
               2, quick());
    run.step(0);
    run.fail(1, "first", 1);
    EXPECT_THAT(run.step(1), IsEmpty());
    EXPECT_THAT(run.last().blocked, IsEmpty());
    run.finish(2, "second", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-use"));
}

TEST(Master, ANeedThatNobodyMakesBlocksAtOnce) {
    Driven run({make_task("merge", TaskKind::merge, 1e9, {"nowhere"}, {"m"}), make_task("next", TaskKind::compare, 1e9, {"m"})}, 1,
               quick());
    EXPECT_THAT(run.step(0), ElementsAre("1<-finish", "finished"));
    ASSERT_EQ(run.last().blocked.size(), 2u);
    EXPECT_THAT(run.last().blocked[1].reason, HasSubstr(hash_text("nowhere").hex()));
    EXPECT_EQ(run.master().outcome().blocked, 2);
}

TEST(Master, ACycleOfNeedsEndsInsteadOfHanging) {
    Driven run({make_task("hen", TaskKind::merge, 1e9, {"egg"}, {"hen"}), make_task("egg", TaskKind::merge, 1e9, {"hen"}, {"egg"})},
               1, quick());
    EXPECT_THAT(run.step(0), ElementsAre("1<-finish", "finished"));
    EXPECT_EQ(run.master().outcome().blocked, 2);
}

TEST(Master, AStorageFailureStopsEverythingWithoutALastCommit) {
    MasterOptions options;
    options.commit_seconds = 1;
    Driven run({make_task("a", TaskKind::merge, 2e9), make_task("b", TaskKind::merge, 1e9)}, 2, options);
    run.step(0);
    run.finish(1, "a", 2);
    EXPECT_THAT(run.step(2), ElementsAre("1<-prepare", "2<-prepare"));
    run.master().receive({Message::Kind::fault, 2, {{"message", "disk full"}}}, 3);
    run.leave(2, "b", 3);
    run.ready(1, 3);
    run.ready(2, 3);
    EXPECT_THAT(run.step(3), ElementsAre("1<-stop", "2<-stop", "1<-finish", "2<-finish", "finished"));
    EXPECT_FALSE(run.last().last_commit);
    EXPECT_EQ(run.master().outcome().fault, "disk full");
}

TEST(Master, ReportsAWorkerWithoutSafePointOnceAndItsReturn) {
    auto options = quick();
    options.task_timeout = 60;
    Driven run({make_task("stuck", TaskKind::merge, 1e9)}, 2, options);
    run.step(0);
    run.alive(1, 30);
    run.step(89);
    EXPECT_THAT(run.last().events, IsEmpty());
    run.step(91);  // 61 s after the last sign; the idle worker 2 is not meant
    ASSERT_EQ(run.last().events.size(), 1u);
    EXPECT_EQ(run.last().events[0].kind, SweepEvent::Kind::overdue);
    EXPECT_EQ(run.last().events[0].rank, 1);
    EXPECT_EQ(run.last().events[0].task, "stuck");
    run.step(95);
    EXPECT_THAT(run.last().events, IsEmpty());
    run.alive(1, 96);
    run.step(96);
    ASSERT_EQ(run.last().events.size(), 1u);
    EXPECT_EQ(run.last().events[0].kind, SweepEvent::Kind::recovered);
}

TEST(Master, GivesUpAHangingRankOnlyWhenNothingElseIsLeft) {
    auto options = quick();
    options.task_timeout = 60;
    Driven run({make_task("stuck", TaskKind::merge, 2e9), make_task("other", TaskKind::merge, 1e9)}, 2, options);
    run.step(0);
    run.alive(2, 100);
    run.step(130);
    EXPECT_FALSE(run.last().abandoned) << "rank 2 works on";
    run.finish(2, "other", 140);
    run.alive(2, 140);
    run.step(141);  // rank 1 is silent for longer than twice the limit
    EXPECT_TRUE(run.last().abandoned);
    ASSERT_EQ(run.last().blocked.size(), 1u);
    const auto& blocked = run.last().blocked[0];
    EXPECT_EQ(blocked.label, "stuck");
    EXPECT_TRUE(blocked.timed_out && blocked.retryable);
    EXPECT_EQ(blocked.seconds, 141);
    EXPECT_THAT(blocked.reason, testing::AllOf(HasSubstr("no safe point for 2 min 21 s in rank 1"), HasSubstr("run.task_timeout is 1 min")));
}

TEST(Master, AHangingTaskWithoutResultsIsCountedInWhatNeedsIt) {
    auto options = quick();
    options.task_timeout = 60;
    Driven run({make_task("one", TaskKind::represent, 3e9, {}, {"f1", "g1"}, 0), make_task("two", TaskKind::represent, 2e9, {}, {"f2"}, 0),
                make_task("also two", TaskKind::represent, 1e9, {"f1"}, {"f2"}, 0), make_task("use 1", TaskKind::compare, 1e9, {"g1"}, {"c"}, 2),
                make_task("use of use 1", TaskKind::compare, 1e9, {"c"}), make_task("use 2", TaskKind::compare, 1e9, {"f2"})},
               2, options);
    EXPECT_THAT(run.step(0), UnorderedElementsAre("1<-one", "2<-two"));
    run.step(121);
    EXPECT_TRUE(run.last().abandoned);
    std::map<std::string, Master::Blocked> blocked;
    for (const auto& entry : run.last().blocked) EXPECT_TRUE(blocked.emplace(entry.label, entry).second) << entry.label << " twice";
    ASSERT_EQ(blocked.size(), 6u);
    for (const auto& [label, entry] : blocked) {
        EXPECT_TRUE(entry.retryable) << label;
        EXPECT_EQ(entry.timed_out, label == "one" || label == "two") << label;
        EXPECT_EQ(entry.seconds, 121) << label;
    }
    EXPECT_EQ(blocked.at("use 1").results.size(), 2u);
    EXPECT_THAT(blocked.at("use of use 1").reason, HasSubstr("task 'one' failed: no safe point for 2 min 01 s in rank 1"));
    EXPECT_EQ(run.last().events.back().kind, SweepEvent::Kind::blocked);
}

TEST(Master, WhatAHangingTaskHasMadeOrAnotherTaskMakesBlocksNobody) {
    auto options = quick();
    options.task_timeout = 60;
    Driven run({make_task("train", TaskKind::specialise, 9e9, {}, {"d1", "d2"}), make_task("merge 1", TaskKind::merge, 1e9, {"d1"}),
                make_task("merge 2", TaskKind::merge, 1e9, {"d2"}), make_task("train again", TaskKind::specialise, 1e9, {"d1"}, {"d2"})},
               1, options);
    EXPECT_THAT(run.step(0), ElementsAre("1<-train"));
    run.publish(1, "d1", 1);
    run.step(2);
    run.step(122);
    EXPECT_TRUE(run.last().abandoned);
    ASSERT_EQ(run.last().blocked.size(), 1u) << "the others wait for the next start";
    EXPECT_EQ(run.last().blocked[0].label, "train");
}

TEST(Master, InTheWorkersOwnProcessGivesNobodyUp) {
    auto options = quick();
    options.task_timeout = 60;
    options.gives_up = false;
    Driven run({make_task("slow", TaskKind::merge, 1e9)}, 1, options);
    run.step(0);
    run.step(500);
    EXPECT_EQ(run.last().events.size(), 1u) << "it is reported";
    EXPECT_FALSE(run.last().abandoned);
}

TEST(Master, AHangingRankDelaysAStopUntilItIsOverdue) {
    auto options = quick();
    options.task_timeout = 60;
    Driven run({make_task("stuck", TaskKind::merge, 1e9)}, 2, options);
    run.step(0);
    run.master().stop();
    run.step(59);
    EXPECT_FALSE(run.last().abandoned);
    run.step(61);
    EXPECT_TRUE(run.last().abandoned);
}

TEST(Master, ProgressCountsResultsByKindAndNamesWhatRuns) {
    Driven run({make_task("train", TaskKind::specialise, 5e9), make_task("rows", TaskKind::merge, 4e9, {}, {}, 10),
                make_task("last", TaskKind::merge, 1e9)},
               2, quick());
    run.step(0);
    run.news(2, "rows", 2, 4);
    run.news(2, "rows", 3, 6);
    const auto progress = run.master().progress(5);
    EXPECT_EQ(progress.results.at(TaskKind::merge).total, 11);
    EXPECT_EQ(progress.results.at(TaskKind::merge).done, 6);
    EXPECT_EQ(progress.all.total, 12);
    EXPECT_FALSE(progress.eta.has_value());  // nothing has been timed
    ASSERT_EQ(progress.running.size(), 2u);
    EXPECT_EQ(progress.running[0].label, "train");
    EXPECT_DOUBLE_EQ(progress.running[0].since, 5);
    EXPECT_EQ(progress.running[1].rank, 2);
    EXPECT_DOUBLE_EQ(progress.running[1].silent, 2);
    run.finish(2, "rows", 6, 6, 10);
    EXPECT_EQ(run.master().progress(6).all.done, 10);  // not 4 + 6 + 10
    EXPECT_TRUE(run.master().progress(6).eta.has_value());
}

TEST(Master, RefusesWhatCannotBe) {
    const auto twice = std::vector{make_task("a", TaskKind::merge, 1), make_task("a", TaskKind::merge, 1)};
    EXPECT_THROW(Driven(twice, 1), std::invalid_argument);
    EXPECT_THROW(Driven({}, 0), std::invalid_argument);
    Driven run({make_task("a", TaskKind::merge, 1)}, 1);
    EXPECT_THROW(run.finish(1, "a", 0), std::logic_error);  // not given yet
    EXPECT_THROW(run.alive(7, 0), std::logic_error);
}

MasterOptions suspecting(const std::string& name) {
    MasterOptions options;
    options.alone = {hash_text("task " + name)};
    return options;
}

TEST(Master, ASuspectRunsAfterAllOthersAndWithNothingBesideIt) {
    Driven driven({make_task("suspect", TaskKind::merge, 9, {}, {"made"}), make_task("a", TaskKind::merge, 2), make_task("b", TaskKind::merge, 1),
                   make_task("user", TaskKind::merge, 1, {"made"}), make_task("other user", TaskKind::merge, 1, {"made"})},
                  2, suspecting("suspect"));
    EXPECT_THAT(driven.step(0), UnorderedElementsAre("1<-a", "2<-b"));
    driven.finish(1, "a", 1);
    EXPECT_THAT(driven.step(1), IsEmpty());  // b still runs
    driven.finish(2, "b", 2);
    EXPECT_THAT(driven.step(2), ElementsAre("1<-suspect"));
    driven.master().receive({Message::Kind::published, 1, {{"asset", hash_text("made")}}}, 3);
    EXPECT_THAT(driven.step(3), IsEmpty());  // what it made must wait for its end
    driven.finish(1, "suspect", 4);
    EXPECT_THAT(driven.step(4), UnorderedElementsAre("1<-user", "2<-other user"));
}

TEST(Master, AQuarantinedTaskIsNotRunAndWhatNeedsItIsBlocked) {
    MasterOptions options;
    options.quarantined = {{hash_text("task bad"), "quarantined: it died"}};
    Driven driven({make_task("bad", TaskKind::specialise, 9, {}, {"made"}), make_task("user", TaskKind::merge, 1, {"made"}), make_task("free", TaskKind::merge, 1)},
                  1, options);
    EXPECT_THAT(driven.step(0), ElementsAre("1<-free"));
    const auto blocked = driven.last().blocked;
    ASSERT_EQ(blocked.size(), 2U);
    EXPECT_EQ(blocked[0].label, "bad");
    EXPECT_TRUE(blocked[0].quarantined);
    EXPECT_EQ(blocked[1].label, "user");
    EXPECT_FALSE(blocked[1].quarantined);
    EXPECT_TRUE(blocked[1].retryable);
    EXPECT_THAT(blocked[1].reason, HasSubstr("quarantined: it died"));
}

}  // namespace
}  // namespace cmsweep
