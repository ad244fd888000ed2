// The running store on 1, 2 and 4 ranks.
#include <cmath>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "store_case.hpp"

namespace cmsweep {
namespace {

/// All ranks of one mpirun share a folder; different runs do not.
class ParallelStore : public testing::Test {
protected:
    ParallelStore()
        : world_(Communicator::world()),
          folder_(world_.broadcast("cmsweep-parallel-" + std::to_string(::getpid()), 0), world_.rank() == 0) {
        world_.barrier();
    }
    void TearDown() override { world_.barrier(); }

    PreparedStore prepare(const Plan& plan) {
        PreparedStore prepared;
        if (world_.rank() == 0) prepared = prepare_store(folder_.store(), folder_.side(), plan, case_identity());
        world_.barrier();
        return prepared;
    }
    /// Does this rank compute row `i`?
    bool mine(std::size_t i) const { return static_cast<int>(i) % world_.size() == world_.rank(); }

    Communicator world_;
    TemporaryFolder folder_;
};

const nlohmann::json kRun{{"ended", 200.0}, {"hosts", {"a", "b"}}, {"outcome", "complete"}};

TEST_F(ParallelStore, holds_what_every_rank_added) {
    const auto plan = case_plan({.degrees = 50});
    prepare(plan);
    const auto& ids = plan.table("experiments").ids;
    {
        Store store(world_, folder_.store(), folder_.side());
        // Interleaved rows in two commits; in the second, scattered ones so that more than a few runs are selected.
        for (std::size_t i = 0; i < 20; ++i) {
            if (mine(i)) store.add(case_record(ids[i], static_cast<double>(i)));
        }
        EXPECT_EQ(store.has_news(), world_.rank() < 20);
        store.commit();
        EXPECT_FALSE(store.has_news());
        for (std::size_t i = 20; i < ids.size(); ++i) {
            if (mine(i / 3)) store.add(case_record(ids[i], static_cast<double>(i)));
        }
        store.close(kRun);
        EXPECT_TRUE(store.wrote_collectively());
    }
    world_.barrier();
    EXPECT_THAT(verify_store(folder_.store()), testing::IsEmpty());
    const StoreReader reader(folder_.store());
    const auto loss = reader.numbers("experiments", "loss").values;
    const auto rank = reader.numbers("experiments", "rank").values;
    const auto attempt = reader.numbers("experiments", "attempt").values;
    const auto similarity = reader.numbers("experiments", "similarity_member");
    ASSERT_EQ(loss.size(), ids.size());
    ASSERT_EQ(similarity.extents, (std::vector<std::int64_t>{100, 2, 3}));
    for (std::size_t i = 0; i < ids.size(); ++i) {
        EXPECT_EQ(loss[i], static_cast<double>(i));
        EXPECT_EQ(rank[i], static_cast<double>((i < 20 ? i : i / 3) % static_cast<std::size_t>(world_.size())));
        EXPECT_EQ(attempt[i], 1);
        EXPECT_EQ(similarity.values[6 * i + 5], static_cast<double>(i) + 5);
    }
    EXPECT_EQ(reader.texts("runs", "outcome")[0], "complete");
    EXPECT_EQ(reader.texts("runs", "hosts")[0], "a b");
    EXPECT_EQ(reader.numbers("runs", "ranks").values[0], world_.size());
    const auto state = read_stored_state(folder_.store(), folder_.side());
    EXPECT_EQ(state.results.size(), ids.size());
    EXPECT_TRUE(std::filesystem::is_empty(folder_.side() / "journal"));
    world_.barrier();
}

TEST_F(ParallelStore, commits_with_ranks_that_have_nothing_and_several_tables) {
    const auto plan = case_plan();
    prepare(plan);
    Store store(world_, folder_.store(), folder_.side());
    store.commit();  // nobody has anything
    if (world_.rank() == world_.size() - 1) {
        store.add(case_record(case_id("route", 10), 7));
        Record curve;
        curve.table = "training";
        curve.id = plan.table("training").ids[1];
        curve.set("loss", {3}, {3, 2, 1});
        store.add(curve);
    }
    store.commit();
    EXPECT_TRUE(store.wrote_collectively());
    // The sweep still runs: readers see the commit.
    {
        const StoreReader reader(folder_.store());
        const auto loss = reader.numbers("training", "loss");
        EXPECT_EQ(loss.extents, (std::vector<std::int64_t>{2, 5}));
        EXPECT_EQ(loss.values[5], 3);
        EXPECT_EQ(loss.values[7], 1);
        EXPECT_TRUE(std::isnan(loss.values[8]));
        EXPECT_TRUE(std::isnan(loss.values[0]));
        EXPECT_EQ(reader.texts("runs", "outcome")[0], "running");
        EXPECT_EQ(read_stored_state(folder_.store(), folder_.side()).results.size(), 2u);
    }
    world_.barrier();
    store.close({});
    world_.barrier();
    EXPECT_THAT(verify_store(folder_.store()), testing::IsEmpty());
    world_.barrier();
}

TEST_F(ParallelStore, writes_a_retried_row_again_from_another_rank) {
    const auto plan = case_plan();
    prepare(plan);
    const auto id = case_id("average", 0);
    Store store(world_, folder_.store(), folder_.side());
    if (world_.rank() == 0) {
        Record failed;
        failed.table = "experiments";
        failed.id = id;
        failed.status = RowStatus::failed;
        failed.retryable = true;
        failed.message = "timeout";
        store.add(failed);
    }
    store.commit();
    world_.barrier();  // rank 0 empties its journal after the commit, and a record there counts as one more attempt
    {
        const auto state = read_stored_state(folder_.store(), folder_.side());
        const auto& entry = state.results.at({"experiments", id});
        EXPECT_EQ(entry.status, RowStatus::failed);
        EXPECT_TRUE(entry.retryable);
        EXPECT_EQ(entry.attempt, 1);
    }
    world_.barrier();
    if (world_.rank() == world_.size() - 1) store.add(case_record(id, 4));
    store.close({});
    world_.barrier();
    const auto state = read_stored_state(folder_.store(), folder_.side());
    const auto& entry = state.results.at({"experiments", id});
    EXPECT_EQ(entry.status, RowStatus::done);
    EXPECT_FALSE(entry.retryable);
    EXPECT_EQ(entry.attempt, 2);
    const StoreReader reader(folder_.store());
    EXPECT_EQ(reader.texts("experiments", "message")[0], "");
    EXPECT_EQ(reader.numbers("experiments", "rank").values[0], world_.size() - 1);
    EXPECT_THAT(verify_store(folder_.store()), testing::IsEmpty());
    world_.barrier();
}

TEST_F(ParallelStore, gives_the_same_bytes_for_any_number_of_ranks) {
    // Against a store that one process filled through journals: every column but those that tell who and when.
    const auto plan = case_plan();
    prepare(plan);
    const auto& ids = plan.table("experiments").ids;
    {
        Store store(world_, folder_.store(), folder_.side());
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (mine(i)) store.add(case_record(ids[i], static_cast<double>(i)));
        }
        store.close({});
    }
    world_.barrier();
    const StoreReader reader(folder_.store());
    std::string bytes;
    for (const char* column : {"loss", "accuracy", "tokens", "block_loss", "similarity_member", "commit", "status"}) {
        const auto numbers = reader.numbers("experiments", column).values;
        bytes.append(reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(double));
    }
    // Golden: the digest of the 1-rank store, so that a change of the layout of values or of the checksum is noticed.
    EXPECT_EQ(hash_text(bytes).hex(), "d6864db4facb798adfbf3f8215f41d0b");
    world_.barrier();
}

TEST_F(ParallelStore, refuses_records_that_do_not_fit) {
    const auto plan = case_plan();
    prepare(plan);
    Store store(world_, folder_.store(), folder_.side());
    const auto id = case_id("average", 0);
    auto unknown = case_record(hash_text("nothing"), 1);
    EXPECT_THROW(store.add(unknown), std::invalid_argument);
    auto large = case_record(id, 1);
    large.set("similarity_base", {4}, {1, 2, 3, 4});
    EXPECT_THROW(store.add(large), std::invalid_argument);
    auto label = case_record(id, 1);
    label.set("seed", 3);
    EXPECT_THROW(store.add(label), std::invalid_argument);
    auto fraction = case_record(id, 1);
    fraction.set("tokens", 1.5);
    EXPECT_THROW(store.add(fraction), std::invalid_argument);
    EXPECT_FALSE(store.has_news());
    store.close({});
}

}  // namespace
}  // namespace cmsweep
