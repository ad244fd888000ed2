#include "cmsweep/base/random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

Stream stream() { return Stream(7, "batches", {"code", "wte.weight"}); }

// Computed by an independent program: XXH3-128 of the documented encoding, the standard's mt19937_64, and each
// distribution as its comment says. A change here changes every result of every sweep.
TEST(StreamGolden, EngineIsPinned) {
    auto a = stream();
    EXPECT_EQ(a.next(), 274389318020953666U);
    EXPECT_EQ(a.next(), 12238137788960576940U);
    EXPECT_EQ(a.next(), 239646696188479607U);
    EXPECT_EQ(Stream(0, "").next(), 7016092538339646392U);
}

TEST(StreamGolden, IntegersArePinned) {
    auto a = stream();
    std::vector<std::uint64_t> draws(5);
    for (auto& draw : draws) draw = a.below(1000);
    EXPECT_THAT(draws, ElementsAre(666, 940, 607, 993, 760));
    // 2^64 mod 3 x 2^62 = 2^62: a quarter of the engine's numbers is rejected, the first and the third of these.
    auto b = stream();
    EXPECT_EQ(b.below(3ULL << 62), 12238137788960576940U);
    EXPECT_EQ(b.below(3ULL << 62), 9623331506891110760U);
}

TEST(StreamGolden, RealsArePinned) {
    auto a = stream();
    EXPECT_EQ(a.uniform(), 0x1.e769d0c366780p-7);
    EXPECT_EQ(a.uniform(), 0x1.53ad32f50e8f2p-1);
    // log and cos may differ between C libraries in the last place.
    auto b = stream();
    EXPECT_NEAR(b.normal(), -0.0895935763799937, 1e-15);
    EXPECT_NEAR(b.normal(), 0.15207322408882606, 1e-15);
    EXPECT_NEAR(b.normal(), 0.8365252050011633, 1e-15);
}

TEST(StreamGolden, PermutationAndSampleArePinned) {
    EXPECT_THAT(stream().permutation(8), ElementsAre(4, 7, 1, 0, 3, 5, 6, 2));
    EXPECT_THAT(stream().sample(100, 5), ElementsAre(13, 29, 34, 60, 98));
}

TEST(Stream, EveryPartOfTheNameCounts) {
    std::set<std::uint64_t> first;
    const auto draw = [&](Stream s) { first.insert(s.next()); };
    draw({7, "batches"});
    draw({8, "batches"});
    draw({7, "masks"});
    draw({7, "batches", {""}});
    draw({7, "batches", {"ab", "c"}});
    draw({7, "batches", {"a", "bc"}});
    draw({7, "batches", {"abc"}});
    draw({7, "batchesabc"});
    EXPECT_EQ(first.size(), 8U);
    EXPECT_EQ(Stream(7, "batches", {"ab", "c"}).next(), Stream(7, "batches", {"ab", "c"}).next());
}

TEST(Stream, BelowIsUniform) {
    auto a = stream();
    std::vector<int> counts(6);
    constexpr int kDraws = 60000;
    for (int i = 0; i < kDraws; ++i) ++counts[a.below(6)];
    double chi_squared = 0;
    for (const int count : counts) chi_squared += (count - 10000.0) * (count - 10000.0) / 10000.0;
    EXPECT_LT(chi_squared, 20.5);  // the 99.9 % point at 5 degrees of freedom
    EXPECT_EQ(a.below(1), 0U);
    EXPECT_THROW(a.below(0), std::invalid_argument);
}

TEST(Stream, UniformAndNormalHaveTheirMoments) {
    auto a = stream();
    constexpr int kDraws = 100000;
    double uniform_sum = 0, normal_sum = 0, squares = 0, fourth = 0;
    for (int i = 0; i < kDraws; ++i) {
        const double u = a.uniform();
        ASSERT_GE(u, 0.0);
        ASSERT_LT(u, 1.0);
        uniform_sum += u;
        const double z = a.normal();
        normal_sum += z;
        squares += z * z;
        fourth += z * z * z * z;
    }
    // Four standard errors: sqrt(1/12/n), sqrt(1/n), sqrt(2/n), sqrt(96/n).
    EXPECT_NEAR(uniform_sum / kDraws, 0.5, 4 * std::sqrt(1 / 12.0 / kDraws));
    EXPECT_NEAR(normal_sum / kDraws, 0.0, 4 * std::sqrt(1.0 / kDraws));
    EXPECT_NEAR(squares / kDraws, 1.0, 4 * std::sqrt(2.0 / kDraws));
    EXPECT_NEAR(fourth / kDraws, 3.0, 4 * std::sqrt(96.0 / kDraws));
}

TEST(Stream, PermutationHoldsEveryValueOnceAndEveryOrderIsReached) {
    auto a = stream();
    auto order = a.permutation(1000);
    std::sort(order.begin(), order.end());
    for (std::int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[i], i);
    EXPECT_TRUE(a.permutation(0).empty());
    EXPECT_THAT(a.permutation(1), ElementsAre(0));
    EXPECT_THROW(a.permutation(-1), std::invalid_argument);

    std::map<std::vector<std::int64_t>, int> counts;
    for (int i = 0; i < 6000; ++i) ++counts[a.permutation(3)];
    EXPECT_EQ(counts.size(), 6U);
    for (const auto& [permutation, count] : counts) EXPECT_NEAR(count, 1000, 130);  // 4.5 standard deviations
}

TEST(Stream, SampleIsDistinctSortedAndUniform) {
    auto a = stream();
    std::map<std::vector<std::int64_t>, int> counts;
    for (int i = 0; i < 10000; ++i) ++counts[a.sample(5, 2)];
    EXPECT_EQ(counts.size(), 10U);  // 5 choose 2
    for (const auto& [values, count] : counts) {
        EXPECT_LT(values[0], values[1]);
        EXPECT_NEAR(count, 1000, 135);  // 4.5 standard deviations
    }
    EXPECT_THAT(a.sample(4, 4), ElementsAre(0, 1, 2, 3));
    EXPECT_TRUE(a.sample(4, 0).empty());
    EXPECT_TRUE(a.sample(0, 0).empty());
    EXPECT_THROW(a.sample(3, 4), std::invalid_argument);
    EXPECT_THROW(a.sample(3, -1), std::invalid_argument);
}

TEST(Stream, ContinuesFromASavedState) {
    auto a = stream();
    for (int i = 0; i < 1000; ++i) a.next();
    const auto state = a.state();
    const auto expected = a.permutation(50);
    Stream b(0, "other");
    b.restore(state);
    EXPECT_EQ(b.permutation(50), expected);
    EXPECT_EQ(a.state(), b.state());
}

TEST(Stream, RefusesADamagedStateAndKeepsItsOwn) {
    auto a = stream();
    const auto state = a.state();
    for (const auto& bad : {std::string(), std::string("12 x"), state.substr(0, state.size() / 2), state + " 1"}) {
        EXPECT_THROW(a.restore(bad), InputError);
    }
    EXPECT_EQ(a.state(), state);
}

}  // namespace
}  // namespace cmsweep
