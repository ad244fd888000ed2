#include "cmsweep/mpi/communicator.hpp"

#include <cstdlib>
#include <string>
#include <utility>

#include <gmock/gmock.h>

namespace cmsweep {
namespace {

TEST(Communicator, BroadcastsBytesAndTextOfAnySizeFromAnyRoot) {
    const auto world = Communicator::world();
    for (int root = 0; root < world.size(); ++root) {
        std::vector<std::byte> bytes;
        if (world.rank() == root) bytes.assign(100'003, std::byte(root + 1));
        bytes = world.broadcast(bytes, root);
        ASSERT_EQ(bytes.size(), 100'003u);
        EXPECT_EQ(bytes.back(), std::byte(root + 1));
        const std::string text = "from " + std::to_string(root) + std::string("\0!", 2);
        EXPECT_EQ(world.broadcast(world.rank() == root ? text : "something else", root), text);
    }
    EXPECT_EQ(world.broadcast(std::string(), 0), "");
}

TEST(Communicator, GathersTextsInRankOrderAtTheRootOnly) {
    const auto world = Communicator::world();
    const int root = world.size() - 1;
    const auto texts = world.gather(std::string(static_cast<std::size_t>(world.rank()), 'x') + ";", root);
    if (world.rank() != root) {
        EXPECT_TRUE(texts.empty());
        return;
    }
    ASSERT_EQ(texts.size(), static_cast<std::size_t>(world.size()));
    for (int r = 0; r < world.size(); ++r) {
        EXPECT_EQ(texts[static_cast<std::size_t>(r)], std::string(static_cast<std::size_t>(r), 'x') + ";");
    }
}

TEST(Communicator, AllIsTrueOnlyIfEveryRankSaysSo) {
    const auto world = Communicator::world();
    EXPECT_TRUE(world.all(true));
    EXPECT_FALSE(world.all(world.rank() != world.size() - 1));
}

TEST(Communicator, NodeCommunicatorHoldsAllRanksOfThisMachine) {
    const auto world = Communicator::world();
    const auto node = world.split_by_node();  // the tests run on one machine
    EXPECT_EQ(node.size(), world.size());
    EXPECT_EQ(node.rank(), world.rank());
}

TEST(Communicator, DuplicatesCanBeMovedAndUsed) {
    const auto world = Communicator::world();
    auto copy = world.duplicate();
    EXPECT_NE(copy.handle(), world.handle());
    Communicator moved = std::move(copy);
    moved.barrier();
    EXPECT_EQ(moved.rank(), world.rank());
    moved = world.duplicate();
    moved.barrier();
}

TEST(MpiSession, SetsWhatTheStoreReliesOn) {
    EXPECT_STREQ(std::getenv("OMPI_MCA_fs_ufs_lock_algorithm"), "3");
    EXPECT_STREQ(std::getenv("OMPI_MCA_fbtl_posix_write_datasieving"), "0");
    EXPECT_STREQ(std::getenv("OMPI_MCA_sharedfp"), "^sm");
}

TEST(CheckMpi, ThrowsWithTheCallAndMpisText) {
    check_mpi(MPI_SUCCESS, "fine");
    try {
        check_mpi(MPI_Barrier(MPI_COMM_NULL), "MPI_Barrier of nothing");
        FAIL() << "no exception";
    } catch (const std::runtime_error& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("MPI_Barrier of nothing"));
        EXPECT_THAT(error.what(), testing::HasSubstr("MPI_ERR_COMM"));
    }
}

}  // namespace
}  // namespace cmsweep
