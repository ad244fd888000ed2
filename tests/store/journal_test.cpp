// Journals: what a kill leaves of them, and how often a record counts.
#include "store/journal.hpp"

#include <gmock/gmock.h>

#include "cmsweep/base/files.hpp"
#include "store_case.hpp"

namespace cmsweep {
namespace {

class JournalTest : public testing::Test {
protected:
    TemporaryFolder folder_ = own_folder("journal");
    Plan plan_ = case_plan();
    Id id_ = case_id("average", 0);

    PreparedStore prepare() { return prepare_store(folder_.store(), folder_.side(), plan_, case_identity()); }
    void append(const Record& record) { Journal(folder_.side() / "journal", 1).append(record); }
    StoredState::Entry entry() const { return read_stored_state(folder_.store(), folder_.side()).results.at({"experiments", id_}); }

    Record failure(double seconds) const {
        Record record;
        record.table = "experiments";
        record.id = id_;
        record.status = RowStatus::failed;
        record.retryable = true;
        record.message = "out of memory";
        record.seconds = seconds;
        return record;
    }
};

TEST_F(JournalTest, ARecordIsSeenBeforeAndAfterItIsCommitted) {
    prepare();
    append(case_record(id_, 3));
    EXPECT_EQ(entry().status, RowStatus::done);
    EXPECT_EQ(entry().attempt, 1);
    EXPECT_EQ(prepare().recovered, 1u);
    EXPECT_EQ(entry().attempt, 1);
    EXPECT_TRUE(std::filesystem::is_empty(folder_.side() / "journal"));
}

TEST_F(JournalTest, ARecordInBothJournalAndStoreIsOneAttempt) {
    // As a reader finds it during a commit, or the next start after a kill between a commit and the end of the journal.
    prepare();
    append(failure(1));
    prepare();
    append(failure(1));
    EXPECT_EQ(entry().attempt, 1);
    EXPECT_EQ(prepare().recovered, 0u);
    EXPECT_EQ(entry().attempt, 1);
}

TEST_F(JournalTest, ASecondAttemptWithTheSameOutcomeCounts) {
    prepare();
    append(failure(1));
    prepare();
    append(failure(2));
    EXPECT_EQ(entry().attempt, 2);
    EXPECT_EQ(prepare().recovered, 1u);
    EXPECT_EQ(entry().attempt, 2);
    EXPECT_THAT(verify_store(folder_.store()), testing::IsEmpty());
}

TEST_F(JournalTest, AFailureNeverReplacesAResult) {
    prepare();
    append(case_record(id_, 3));
    append(failure(2));
    prepare();
    EXPECT_EQ(entry().status, RowStatus::done);
    append(failure(3));
    EXPECT_EQ(entry().status, RowStatus::done);
    prepare();
    EXPECT_EQ(entry().status, RowStatus::done);
}

TEST_F(JournalTest, ResultsOfEveryTableAreRecovered) {
    prepare();
    append(case_record(id_, 3));
    Record comparison, curve;
    comparison.table = "similarity";
    comparison.id = plan_.table("similarity").ids[1];
    comparison.set("value", {3, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9});
    append(comparison);
    curve.table = "training";
    curve.id = plan_.table("training").ids[0];
    curve.set("loss", {2}, {3, 2});
    append(curve);
    EXPECT_EQ(prepare().recovered, 3u);
    EXPECT_EQ(StoreReader(folder_.store()).numbers("similarity", "value").values[9 + 4], 5);
    EXPECT_EQ(StoreReader(folder_.store()).numbers("training", "loss").values[1], 2);
}

TEST_F(JournalTest, OutlivesADeletedStore) {
    prepare();
    append(case_record(id_, 3));
    std::filesystem::remove(folder_.store());
    const auto prepared = prepare();
    EXPECT_TRUE(prepared.created);
    EXPECT_EQ(prepared.recovered, 1u);
    EXPECT_EQ(entry().status, RowStatus::done);
}

TEST_F(JournalTest, CutAnywhereKeepsTheWholeRecordsBefore) {
    for (int i = 0; i < 3; ++i) append(case_record(case_id("average", 10 * i), i));
    const auto text = read_text(folder_.side() / "journal" / "rank-000001.journal");
    const auto bytes = std::as_bytes(std::span(text));
    const auto size = bytes.size() / 3;  // all three are alike
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        std::string warning;
        EXPECT_EQ(parse_journal(bytes.first(cut), "journal", warning).size(), cut / size) << cut;
        EXPECT_EQ(warning.empty(), cut % size == 0) << cut;
    }
}

TEST_F(JournalTest, ZeroedFromAnywhereKeepsTheWholeRecordsBefore) {
    for (int i = 0; i < 3; ++i) append(case_record(case_id("average", 10 * i), i + 1));
    auto text = read_text(folder_.side() / "journal" / "rank-000001.journal");
    const auto size = text.size() / 3;
    for (std::size_t from = text.size(); from-- > 0;) {
        const bool changes = text[from] != 0;
        text[from] = 0;
        if (!changes) continue;
        std::string warning;
        EXPECT_EQ(parse_journal(std::as_bytes(std::span(text)), "journal", warning).size(), from / size) << from;
        EXPECT_FALSE(warning.empty());
    }
}

}  // namespace
}  // namespace cmsweep
