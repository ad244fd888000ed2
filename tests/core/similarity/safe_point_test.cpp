// A run can commit or stop inside every comparison: a pair of blocks alone costs as many decompositions as there are permutations and
// document groups.
#include <stdexcept>

#include <gtest/gtest.h>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

constexpr int kPermutations = 20, kGroups = 6;

class ComparisonSafePoints : public testing::TestWithParam<std::string> {
protected:
    ComparisonResult compare(const std::function<void()>& safe_point) const {
        const FeatureMatrix x = golden_features(1, 60, 6);
        ComparisonOptions options{kPermutations, true};
        options.safe_point = safe_point;
        const nlohmann::json given = GetParam() == "cka_minibatch" ? nlohmann::json{{"batch", 15}} : nlohmann::json::object();
        return compare_two(GetParam(), x, golden_related(x, 2, 6), layout_of(60, 1, kGroups), options, given);
    }
    bool pair_by_pair() const { return GetParam().rfind("cka_", 0) != 0; }
};

TEST_P(ComparisonSafePoints, LieBeforeEveryPermutationAndDeletion) {
    int count = 0;
    compare([&] { ++count; });
    // Kernel metrics do all permutations of a tile of pairs in a few matrix products.
    EXPECT_GE(count, pair_by_pair() ? 1 + kPermutations + kGroups : 1);
}

TEST_P(ComparisonSafePoints, MayEndTheComparison) {
    int left = pair_by_pair() ? kPermutations + kGroups : 1;
    EXPECT_THROW(compare([&] {
                     if (--left == 0) throw std::runtime_error("the run ends here");
                 }),
                 std::runtime_error);
}

TEST(PreparationSafePoints, LieInEveryFormOfAKernelMetric) {
    // 600 rows: Gram tiles of 5 features would take longer than 5 x 5 cross-covariances; of 100 features they are kept.
    const ProbeLayout layout = layout_of(600, 1, kGroups);
    for (const char* name : {"cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch"}) {
        const MetricInfo& metric = *find_metric(name);
        for (const Eigen::Index p : {5, 100}) {
            int count = 0;
            metric.prepare(golden_features(1, 600, p), layout, default_setting(metric), [&] { ++count; });
            EXPECT_GE(count, 4) << name << ", p = " << p;
            EXPECT_THROW(metric.prepare(golden_features(1, 600, p), layout, default_setting(metric),
                                        [&] {
                                            if (--count == 0) throw std::runtime_error("the run ends here");
                                        }),
                         std::runtime_error);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Metrics, ComparisonSafePoints,
                         testing::Values("cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn", "cknna", "cca", "svcca", "pwcca",
                                         "procrustes", "rsa"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace cmsweep
