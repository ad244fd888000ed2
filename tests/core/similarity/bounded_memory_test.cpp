#include "bounded_memory.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <ostream>
#include <stdexcept>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

TEST(BoundedMemory, TooMuchFailsAndMappedFeaturesDoNotCount) {
    if (!kMemoryCanBeLimited) GTEST_SKIP() << "under AddressSanitizer";
    const auto touch = [](std::size_t bytes) {
        return [bytes] { std::vector<char>(bytes, 'x').shrink_to_fit(); };
    };
    EXPECT_TRUE(runs_within(64 * kMiB, touch(40 * kMiB)));
    EXPECT_FALSE(runs_within(64 * kMiB, touch(100 * kMiB)));
    EXPECT_FALSE(runs_within(64 * kMiB, [] { throw std::runtime_error("expected"); }));

    std::uint64_t next = 0;
    const Features features = mapped_features(20000, 256, [&](float* row) {
        for (int column = 0; column < 256; ++column) row[column] = golden_number(1, next++);
    });
    EXPECT_FALSE(runs_within(4 * kMiB, [&] { FeatureMatrix(features.matrix()).setZero(); }));
    EXPECT_TRUE(runs_within(4 * kMiB, [&] {
        for (Eigen::Index row = 0; row < 20000; ++row) {
            if (features.row(row)[255] != golden_number(1, static_cast<std::uint64_t>(row) * 256 + 255)) throw std::runtime_error("other numbers");
        }
    }));
}

/// n x p, mapped; related to those of other seeds.
Features many_rows(std::uint64_t seed, Eigen::Index n, Eigen::Index p) {
    std::uint64_t k = 0;
    return mapped_features(n, p, [&](float* row) {
        for (Eigen::Index column = 0; column < p; ++column, ++k) row[column] = golden_number(1, k) + golden_number(seed, k);
    });
}

struct MemoryOf {
    std::string metric;
    Eigen::Index rows;
    Eigen::Index columns;
    std::size_t bytes;
    friend std::ostream& operator<<(std::ostream& out, const MemoryOf& tested) { return out << tested.metric; }
};
class MemoryOfAMetric : public testing::TestWithParam<MemoryOf> {};

TEST_P(MemoryOfAMetric, DoesNotHoldTheRows) {
    if (!kMemoryCanBeLimited) GTEST_SKIP() << "under AddressSanitizer";
    const auto [name, n, p, bytes] = GetParam();
    const MetricInfo& metric = *find_metric(name);
    const Features x = many_rows(2, n, p);  // 16 MiB; 32 MiB in float64
    const Features y = many_rows(3, n, p);
    const auto compare = [&metric](const Features& a, const Features& b, const ProbeLayout& layout) {
        const auto setting = default_setting(metric);
        const ComparisonResult result =
            metric.compare({metric.prepare(a, layout, setting, {})}, {metric.prepare(b, layout, setting, {})}, layout, setting, {20, true}, {});
        for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                                  &ComparisonResult::low, &ComparisonResult::high}) {
            if (!std::isfinite((result.*figure)(0, 0))) throw std::runtime_error("a figure is missing: " + result.message());
        }
    };
    const ProbeLayout few = layout_of(40, 16, 5);
    compare(many_rows(2, few.rows(), 64), many_rows(3, few.rows(), 64), few);
    EXPECT_TRUE(runs_within(bytes, [&, rows = n] { compare(x, y, layout_of(rows / 64, 64, 5)); }));
}

INSTANTIATE_TEST_SUITE_P(Metrics, MemoryOfAMetric,
                         testing::Values(MemoryOf{"cca", 65536, 64, 6 * kMiB}, MemoryOf{"svcca", 65536, 64, 6 * kMiB},
                                         MemoryOf{"pwcca", 65536, 64, 6 * kMiB}, MemoryOf{"procrustes", 65536, 64, 6 * kMiB},
                                         // 256 x n products at a time
                                         MemoryOf{"mutual_knn", 4096, 1024, 20 * kMiB}, MemoryOf{"cknna", 4096, 1024, 20 * kMiB}),
                         [](const auto& tested) { return tested.param.metric; });

}  // namespace
}  // namespace cmsweep
