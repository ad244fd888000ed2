// Rank 0 of a whole run, its workers' messages written by hand.
#include "cmsweep/sched/sweep.hpp"

#include <deque>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "graph.hpp"

namespace cmsweep {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

/// Rank 0 of 3. All prepared messages come at the first look.
class Mailbox final : public Transport {
public:
    int rank() const override { return 0; }
    int size() const override { return 3; }
    void send(int, const Message&) override {}
    std::optional<Message> receive(double) override {
        if (coming.empty()) return std::nullopt;
        auto next = std::move(coming.front());
        coming.pop_front();
        return next;
    }
    std::deque<Message> coming;
};

class NoCommits final : public ResultSink {
public:
    bool has_news() const override { return false; }
    void commit() override { ADD_FAILURE() << "no commit is possible while a rank hangs"; }
};

/// Rank 1 hangs in "stuck", which "use" needs; rank 2 leaves "other" unfinished.
class HungSweep : public testing::Test {
protected:
    HungSweep() {
        sweep_.tasks = {make_task("stuck", TaskKind::represent, 2e9, {}, {"f"}, 0), make_task("other", TaskKind::merge, 1e9),
                        make_task("use", TaskKind::compare, 1e9, {"f"})};
        sweep_.exists = nothing_exists;
        sweep_.options.task_timeout = 0;  // overdue at the first look at the clock
        sweep_.options.commit_seconds = 1000;
    }
    void leave_other() {
        mailbox_.coming.push_back({Message::Kind::finished, 2,
                                   {{"task", hash_text("task other")}, {"outcome", "unfinished"}, {"retryable", true}, {"message", ""},
                                    {"seconds", 0.0}, {"done", 0}, {"failed", 0}, {"news", false}, {"commits", 0}}});
    }
    void run(const Worker::AddRecord& add) {
        NoCommits sink;
        run_master(std::move(sweep_), mailbox_, sink, add);
    }
    Sweep sweep_;
    Mailbox mailbox_;
};

TEST_F(HungSweep, StoresTheFailuresAndNamesTheHangingTasksOnly) {
    leave_other();
    std::vector<std::string> messages;
    std::string said;
    try {
        run([&](const Record& record) {
            EXPECT_EQ(record.status, RowStatus::failed);
            EXPECT_TRUE(record.retryable);
            messages.push_back(record.message);
        });
    } catch (const HungRanks& error) {
        said = error.what();
    }
    EXPECT_THAT(said, AllOf(HasSubstr("stuck: no safe point for"), Not(HasSubstr("use:"))));
    EXPECT_THAT(messages, ElementsAre(HasSubstr("not computed: task 'stuck' failed: no safe point for")));
}

TEST_F(HungSweep, TellsOfAStorageFailureBeforeIt) {
    mailbox_.coming.push_back({Message::Kind::fault, 2, {{"message", "disk full"}}});
    leave_other();
    std::string said;
    try {
        run([](const Record&) {});
    } catch (const StorageError& error) {
        said = error.what();
    }
    EXPECT_THAT(said, AllOf(HasSubstr("storage failure: disk full"), HasSubstr("stuck: no safe point for"), HasSubstr("run again")));
}

TEST_F(HungSweep, TellsOfAStorageFailureThatItsOwnFailuresMeet) {
    leave_other();
    EXPECT_THROW(run([](const Record&) { throw StorageError("disk full"); }), StorageError);
}

}  // namespace
}  // namespace cmsweep
