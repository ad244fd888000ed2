#include "cmsweep/sched/suspects.hpp"

#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/base/files.hpp"
#include "../base/temporary_folder.hpp"
#include "graph.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Task kTask = make_task("merge it", TaskKind::merge, 1);
const Task kOther = make_task("other", TaskKind::merge, 1);

Flight flight(const Task& task, const std::string& crash = "", bool alone = false) { return {task.id, task.label, alone, crash}; }

class SuspectsTest : public testing::Test {
protected:
    TemporaryFolder folder_;
    std::filesystem::path file() const { return folder_.path() / "suspects.json"; }
    /// Another start of the program: what counts is on disk.
    void start(const std::vector<Flight>& flights, const std::string& progress = "") {
        Suspects suspects(file());
        suspects.count(flights, [&](const Id&) { return progress; });
        suspects.save();
    }
    Suspects now() const { return Suspects(file()); }
};

TEST_F(SuspectsTest, ATaskWithTwoCrashRecordsRunsAlone) {
    start({flight(kTask, "SIGSEGV")});
    EXPECT_THAT(now().alone(), IsEmpty());
    start({flight(kTask, "SIGSEGV")});
    EXPECT_THAT(now().alone(), ElementsAre(kTask.id));
    EXPECT_THAT(now().quarantined(), IsEmpty());
}

TEST_F(SuspectsTest, ATaskInFlightAtThreeUncleanEndsRunsAlone) {
    for (int i = 0; i < 2; ++i) start({flight(kTask)});
    EXPECT_THAT(now().alone(), IsEmpty());
    start({flight(kTask)});
    EXPECT_THAT(now().alone(), ElementsAre(kTask.id));
}

TEST_F(SuspectsTest, ATaskThatGetsOnBetweenUncleanEndsIsNotSuspected) {
    for (int i = 0; i < 6; ++i) start({flight(kTask)}, "step checkpoint " + std::to_string(i));
    EXPECT_THAT(now().alone(), IsEmpty());
}

TEST_F(SuspectsTest, BystandersOfACrashAreNotCounted) {
    for (int i = 0; i < 6; ++i) start({flight(kTask, "SIGABRT"), flight(kOther)});
    EXPECT_THAT(now().alone(), ElementsAre(kTask.id));
}

TEST_F(SuspectsTest, DyingAloneIsQuarantine) {
    for (int i = 0; i < 2; ++i) start({flight(kTask, "SIGFPE")});
    start({flight(kTask, "SIGFPE", true)});
    EXPECT_THAT(now().alone(), IsEmpty());
    const auto quarantined = now().quarantined();
    ASSERT_EQ(quarantined.count(kTask.id), 1U);
    EXPECT_THAT(quarantined.at(kTask.id), testing::AllOf(HasSubstr("3 times"), HasSubstr("SIGFPE"), HasSubstr("suspects.json")));
}

TEST_F(SuspectsTest, OnlyPendingAndQuarantinedTasksAreKept) {
    start({flight(kTask, "SIGSEGV")});
    Suspects suspects = now();
    suspects.keep_only({});
    suspects.save();
    EXPECT_FALSE(std::filesystem::exists(file()));
}

TEST_F(SuspectsTest, ADamagedFileIsAsGoodAsNone) {
    write_atomically(file(), "[{\"task\": 3}, {");
    EXPECT_THAT(now().alone(), IsEmpty());
    write_atomically(file(), "[{\"task\": 3}]");
    EXPECT_THAT(now().alone(), IsEmpty());
}

TEST_F(SuspectsTest, CountsThatNoIntegerHoldsAreDamage) {
    for (const char* count : {"1e300", "-1", "2147483647", "18446744073709551615"}) {
        write_atomically(file(), "[{\"task\": \"" + kTask.id.hex() + "\", \"label\": \"\", \"crashes\": " + count +
                                     ", \"ends\": 0, \"progress\": \"\", \"cause\": \"\", \"quarantined\": false}]");
        EXPECT_THAT(now().alone(), IsEmpty()) << count;
        start({flight(kTask, "SIGSEGV")});
        EXPECT_THAT(now().alone(), IsEmpty()) << count;
    }
}

TEST(FlightRecord, IsFoundAfterAKillAndGoneAfterAnOrderlyEnd) {
    TemporaryFolder folder;
    {
        FlightRecord record(folder.path(), 3);
        record.begin(kTask, true);
    }  // as if killed: nothing was said of an end
    const auto flights = read_flights(folder.path());
    ASSERT_EQ(flights.size(), 1U);
    EXPECT_EQ(flights[0].task, kTask.id);
    EXPECT_EQ(flights[0].label, kTask.label);
    EXPECT_TRUE(flights[0].alone);
    EXPECT_EQ(flights[0].crash, "");
    FlightRecord record(folder.path(), 3);
    record.begin(kTask, false);
    record.end();
    EXPECT_THAT(read_flights(folder.path()), IsEmpty());
    record.remove();
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(FlightRecord, OfATaskThatAPlannedStopCutShortIsNoReproachUnlessItCrashed) {
    TemporaryFolder folder;
    const auto die_after_stop = [&](int rank, int number, bool of_all = false) {
        const pid_t child = fork();
        if (child == 0) {
            std::signal(number, SIG_DFL);  // a sanitizer's handler ends the process in its own way
            FlightRecord record(folder.path(), rank);
            record.catch_crashes();
            record.begin(kTask, false);
            note_planned_stop(of_all);
            raise(number);
        }
        int status = 0;
        waitpid(child, &status, 0);
        return WTERMSIG(status);
    };
    ASSERT_EQ(die_after_stop(1, SIGKILL), SIGKILL);
    EXPECT_THAT(read_flights(folder.path()), IsEmpty());
    ASSERT_EQ(die_after_stop(2, SIGSEGV), SIGSEGV);
    EXPECT_EQ(read_flights(folder.path()).size(), 1U);
    remove_flights(folder.path());
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    // The next run starts with nothing planned; what one rank was asked is not what another one was.
    { FlightRecord(folder.path(), 1).begin(kTask, false); }
    ASSERT_EQ(die_after_stop(2, SIGKILL), SIGKILL);
    EXPECT_EQ(read_flights(folder.path()).size(), 1U);
    ASSERT_EQ(die_after_stop(2, SIGKILL, true), SIGKILL);
    EXPECT_THAT(read_flights(folder.path()), IsEmpty());
}

// A child process, since each signal ends it.
class CrashTest : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Signals, CrashTest, testing::Values(SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT));

TEST_P(CrashTest, LeavesARecordThatNamesTheTaskAndStillEndsByItsSignal) {
    TemporaryFolder folder;
    const pid_t child = fork();
    if (child == 0) {
        std::signal(GetParam(), SIG_DFL);  // a sanitizer's handler ends the process in its own way
        FlightRecord record(folder.path(), 0);
        record.catch_crashes();
        record.begin(kTask, false);
        raise(GetParam());
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), GetParam());
    const auto flights = read_flights(folder.path());
    ASSERT_EQ(flights.size(), 1U);
    EXPECT_EQ(flights[0].task, kTask.id);
    EXPECT_EQ(flights[0].crash, "SIG" + std::string(sigabbrev_np(GetParam())));
}

TEST(FaultPoint, KillsAtTheNamedTimeOfTheNamedEventOnly) {
    const auto passed = [](const char* fault, int times) {
        int status = 0;
        const pid_t child = fork();
        if (child == 0) {
            setenv("CMSWEEP_FAULT", fault, 1);
            for (int i = 0; i < times; ++i) {
                fault_point("other");
                fault_point("commit.words");
            }
            _exit(0);
        }
        waitpid(child, &status, 0);
        return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    };
    EXPECT_EQ(passed("event=commit.words;at=3", 2), 0);
    EXPECT_EQ(passed("event=commit.words;at=3", 3), SIGKILL);
    EXPECT_EQ(passed("event=commit.words;at=1;signal=TERM", 1), SIGTERM);
    EXPECT_EQ(passed("event=commit.words;rank=1", 5), 0);
}

}  // namespace
}  // namespace cmsweep
