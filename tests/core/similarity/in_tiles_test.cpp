// A comparison's figures whatever it is computed beside: how the matrix is cut, in what order, on how many ranks.
#include "cmsweep/core/similarity/in_tiles.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <thread>

#include "cmsweep/base/error.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kPlenty = std::size_t{1} << 30;

std::vector<std::uint64_t> bits_of(const ComparisonResult& result, Eigen::Index row, Eigen::Index column) {
    std::vector<std::uint64_t> bits;
    for (const auto* figure : {&result.value, &result.null_mean, &result.null_p95, &result.low, &result.high}) {
        bits.push_back(std::bit_cast<std::uint64_t>((*figure)(row, column)));
    }
    return bits;
}

class InTiles : public testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        FeatureMatrix first = golden_features(1, 60, 6);
        features.push_back(first);
        for (std::uint64_t seed = 2; seed < 33; ++seed) features.push_back(golden_related(first, seed, 6));
        blocks = prepared(metric, features, layout, given);
    }
    ComparisonResult compare(const PreparedBlocks& list, const EntryMask& wanted = {}, std::size_t memory = kPlenty) const {
        const BlockSource source = [&](Eigen::Index i) { return list[static_cast<std::size_t>(i)]; };
        const auto count = static_cast<Eigen::Index>(list.size());
        return compare_in_tiles(metric, count, source, count, source, layout, default_setting(metric, given), {20, true}, wanted,
                                memory);
    }

    const MetricInfo& metric = *find_metric(GetParam());
    nlohmann::json given = metric.name == "cka_minibatch" ? nlohmann::json{{"batch", 15}} : nlohmann::json::object();
    ProbeLayout layout = layout_of(60, 1, 6);
    std::vector<FeatureMatrix> features;
    PreparedBlocks blocks;
};

TEST_P(InTiles, TheMemoryLimitChangesNoBit) {
    const ComparisonResult whole = compare(blocks);
    const ComparisonResult small = compare(blocks, {}, 7 * blocks.front()->bytes());
    const ComparisonResult pairs = compare(blocks, {}, 1);
    for (Eigen::Index i = 0; i < whole.value.rows(); ++i) {
        for (Eigen::Index j = 0; j < whole.value.cols(); ++j) {
            ASSERT_EQ(bits_of(small, i, j), bits_of(whole, i, j));
            ASSERT_EQ(bits_of(pairs, i, j), bits_of(whole, i, j));
        }
    }
    EXPECT_EQ(small.message(), whole.message());
}

TEST_P(InTiles, GrowingAndPermutingTheListChangesNoBit) {
    const ComparisonResult whole = compare(blocks);
    const ComparisonResult fewer = compare(PreparedBlocks(blocks.begin(), blocks.begin() + 5));
    EXPECT_EQ(bits_of(fewer, 1, 4), bits_of(whole, 1, 4));
    std::vector<Eigen::Index> order(blocks.size());
    std::iota(order.begin(), order.end(), 0);
    std::swap(order[0], order[31]);
    std::rotate(order.begin(), order.begin() + 11, order.end());
    PreparedBlocks permuted;
    for (const auto i : order) permuted.push_back(blocks[static_cast<std::size_t>(i)]);
    const ComparisonResult other = compare(permuted);
    for (Eigen::Index i = 0; i < 32; ++i) {
        for (Eigen::Index j = 0; j < 32; ++j) {
            ASSERT_EQ(bits_of(other, i, j), bits_of(whole, order[static_cast<std::size_t>(i)], order[static_cast<std::size_t>(j)]));
        }
    }
}

TEST_P(InTiles, OneAndFourWorkersAgreeBitForBit) {
    // As ranks do: each prepares what it needs and compares the entries that fall to it, here every fourth of the upper
    // triangle, all four at the same time.
    const ComparisonResult whole = compare(blocks);
    std::vector<ComparisonResult> parts(4);
    std::vector<EntryMask> masks(4, EntryMask::Constant(32, 32, false));
    int next = 0;
    for (Eigen::Index i = 0; i < 32; ++i) {
        for (Eigen::Index j = i; j < 32; ++j) masks[static_cast<std::size_t>(next++ % 4)](i, j) = true;
    }
    std::vector<std::thread> workers;
    for (std::size_t worker = 0; worker < 4; ++worker) {
        workers.emplace_back([&, worker] { parts[worker] = compare(prepared(metric, features, layout, given), masks[worker]); });
    }
    for (auto& worker : workers) worker.join();
    for (std::size_t worker = 0; worker < 4; ++worker) {
        for (Eigen::Index i = 0; i < 32; ++i) {
            for (Eigen::Index j = 0; j < 32; ++j) {
                if (masks[worker](i, j)) {
                    ASSERT_EQ(bits_of(parts[worker], i, j), bits_of(whole, i, j));
                } else {
                    ASSERT_TRUE(std::isnan(parts[worker].value(i, j)));
                }
            }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Metrics, InTiles,
                         testing::Values("cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn", "cknna", "svcca",
                                         "pwcca", "cca", "procrustes", "rsa"),
                         [](const auto& tested) { return tested.param; });

TEST(InTilesFailure, ABlockThatCannotBePreparedCostsItsOwnEntriesOnly) {
    const MetricInfo& metric = *find_metric("cka_linear");
    const ProbeLayout layout = layout_of(20, 1, 4);
    std::vector<FeatureMatrix> features{golden_features(1, 20, 4), FeatureMatrix::Constant(20, 4, 0.1F), golden_features(2, 20, 4)};
    const auto setting = default_setting(metric);
    const BlockSource source = [&](Eigen::Index i) { return metric.prepare(features[static_cast<std::size_t>(i)], layout, setting, {}); };
    const ComparisonResult result = compare_in_tiles(metric, 3, source, 3, source, layout, setting, {20, true}, {}, kPlenty);
    EXPECT_TRUE(std::isfinite(result.value(0, 2)));
    EXPECT_TRUE(std::isnan(result.value(1, 1)));
    EXPECT_TRUE(std::isnan(result.value(0, 1)));
    EXPECT_NE(result.message().find("A block 1 and 1 more: all n = 20 rows are equal"), std::string::npos) << result.message();
    EXPECT_EQ(result.part({0, 2}, {0, 2}).message(), "");
    EXPECT_NE(result.part({0}, {2, 1}).message().find("B block 1: all n = 20"), std::string::npos);
}

TEST(InTilesFailure, BlocksNobodyAskedForAreNotPrepared) {
    const MetricInfo& metric = *find_metric("cka_linear");
    const ProbeLayout layout = layout_of(20);
    const FeatureMatrix x = golden_features(1, 20, 4);
    std::vector<int> asked(4);
    const BlockSource source = [&](Eigen::Index i) {
        ++asked[static_cast<std::size_t>(i)];
        return metric.prepare(x, layout, default_setting(metric), {});
    };
    EntryMask wanted = EntryMask::Constant(4, 4, false);
    wanted(1, 2) = true;
    compare_in_tiles(metric, 4, source, 4, source, layout, default_setting(metric), {0, false}, wanted, kPlenty);
    EXPECT_EQ(asked, (std::vector<int>{0, 1, 1, 0}));
}

}  // namespace
}  // namespace cmsweep
