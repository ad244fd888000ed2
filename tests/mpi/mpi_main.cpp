// The main() of every MPI test program: all ranks run the same cases, rank 0 prints, and one failing rank fails the program.
#include <cstdio>

#include <gtest/gtest.h>

#include "cmsweep/mpi/communicator.hpp"

namespace {

/// Prefixes what other ranks than 0 have to say, and only failures.
class FailurePrinter : public testing::EmptyTestEventListener {
public:
    explicit FailurePrinter(int rank) : rank_(rank) {}
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        std::fprintf(stderr, "rank %d: %s:%d: %s\n", rank_, result.file_name() ? result.file_name() : "?",
                     result.line_number(), result.summary());
    }

private:
    int rank_;
};

}  // namespace

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    cmsweep::MpiSession session(argc, argv);
    const auto world = cmsweep::Communicator::world();
    if (world.rank() != 0) {
        auto& listeners = testing::UnitTest::GetInstance()->listeners();
        delete listeners.Release(listeners.default_result_printer());
        listeners.Append(new FailurePrinter(world.rank()));
    }
    const bool passed = RUN_ALL_TESTS() == 0;
    return world.all(passed) ? 0 : 1;
}
