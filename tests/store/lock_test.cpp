// Who may work on a store, where there are locks and where there are none.
#include "store/lock.hpp"

#include <chrono>
#include <fstream>
#include <thread>

#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "store_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Action>
std::string problem_of(Action action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.what();
    }
    return "no InputError";
}

TEST(StoreLock, RefusesASecondAndNamesTheFirst) {
    const auto folder = own_folder("lock-second");
    const StoreLock first(folder.path() / "sweep", 0);
    EXPECT_THAT(first.warnings(), IsEmpty());
    EXPECT_THAT(problem_of([&] { StoreLock(folder.path() / "sweep", 0); }),
                testing::AllOf(HasSubstr("another run works on this store: process " + std::to_string(::getpid()) + " on "), HasSubstr("since 20")));
}

TEST(StoreLock, WaitsForOrphansThatHoldTheirOwnBytes) {
    const auto folder = own_folder("lock-orphans");
    { StoreLock(folder.path() / "sweep", 0); }  // its rank 0 is gone
    auto orphan = std::make_unique<LockFile>(folder.path() / "sweep.lock", true);
    ASSERT_EQ(orphan->lock_byte(lock_byte_of(3)), LockFile::Result::taken);
    EXPECT_THAT(problem_of([&] { StoreLock(folder.path() / "sweep", 0.2); }), HasSubstr("another run works on this store"));
    std::thread end([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
        orphan.reset();
    });
    StoreLock(folder.path() / "sweep", 60);
    end.join();
}

TEST(StoreLock, UsesAnOwnerFileWhereLocksAreNotToBeUsed) {
    const auto folder = own_folder("lock-owner");
    ::setenv("CMSWEEP_LOCKS", "owner-file", 1);
    {
        const StoreLock first(folder.path() / "sweep", 0);
        EXPECT_THAT(first.warnings(), ElementsAre(HasSubstr("sweep.owner keeps other runs away")));
        EXPECT_THAT(problem_of([&] { StoreLock(folder.path() / "sweep", 0); }), HasSubstr("process " + std::to_string(::getpid()) + " on "));
    }
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "sweep.owner"));
    ::unsetenv("CMSWEEP_LOCKS");
}

TEST(LockFile, TakesNoLocksWhereTheyAreNotToBeUsed) {
    const auto folder = own_folder("lock-none");
    const auto file = folder.path() / "sweep.lock";
    LockFile other(file, true);
    ASSERT_EQ(other.lock_byte(lock_byte_of(1)), LockFile::Result::taken);
    LockFile lock(file, false);
    ASSERT_EQ(lock.lock_byte(lock_byte_of(1)), LockFile::Result::held);
    ::setenv("CMSWEEP_LOCKS", "owner-file", 1);
    EXPECT_EQ(lock.lock_byte(lock_byte_of(1)), LockFile::Result::unsupported);
    EXPECT_EQ(lock.share(), LockFile::Result::unsupported);
    ::unsetenv("CMSWEEP_LOCKS");
    EXPECT_EQ(lock.share(), LockFile::Result::taken);
}

class Heartbeat : public testing::Test {
protected:
    TemporaryFolder folder_ = own_folder("heartbeat");
    std::filesystem::path file_ = folder_.path() / "sweep.owner";
    /// As an owner leaves it that was killed `age` seconds ago.
    void abandon(double age) {
        std::ofstream(file_) << "process 1 on elsewhere";
        std::filesystem::last_write_time(file_, std::filesystem::file_time_type::clock::now() -
                                                    std::chrono::duration_cast<std::filesystem::file_time_type::duration>(std::chrono::duration<double>(age)));
    }
};

TEST_F(Heartbeat, OfAnOwnerThatIsAliveRefusesOthers) {
    abandon(30);
    EXPECT_THAT(problem_of([&] { HeartbeatLock(file_, "me", 0.2); }), HasSubstr("process 1 on elsewhere"));
    EXPECT_TRUE(std::filesystem::exists(file_));
}

TEST_F(Heartbeat, ThatHasStoppedIsTakenOverWithAWarning) {
    abandon(90);
    {
        const HeartbeatLock lock(file_, "me", 0);
        EXPECT_THAT(lock.warnings(), ElementsAre(testing::AllOf(HasSubstr("taken over from process 1 on elsewhere"), HasSubstr("silent for 1 min"))));
        EXPECT_EQ(read_text(file_), "me");
    }
    EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(Heartbeat, TouchesItsFile) {
    const HeartbeatLock lock(file_, "me", 0, /*beat=*/0.01);
    const auto old = std::filesystem::file_time_type::clock::now() - std::chrono::hours(1);
    std::filesystem::last_write_time(file_, old);
    while (std::filesystem::last_write_time(file_) < old + std::chrono::minutes(30)) std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

TEST_F(Heartbeat, LeavesTheFileOfWhoTookOver) {
    {
        const HeartbeatLock lock(file_, "me", 0);
        std::ofstream(file_) << "somebody else";
    }
    EXPECT_EQ(read_text(file_), "somebody else");
}

}  // namespace
}  // namespace cmsweep
