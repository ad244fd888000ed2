// A run can commit or stop inside every comparison: a pair of blocks alone costs as many decompositions as there are permutations and
// document groups.
#include <stdexcept>

#include <gtest/gtest.h>

#include "core/similarity/kernel.hpp"
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

/// How often prepare() reaches a safe point; the last of them may end it.
int safe_points_of(const std::function<void(const SafePoint&)>& prepare) {
    int count = 0;
    prepare([&] { ++count; });
    int left = count;
    EXPECT_THROW(prepare([&] {
                     if (--left == 0) throw std::runtime_error("the run ends here");
                 }),
                 std::runtime_error);
    return count;
}

TEST(PreparationSafePoints, LieInEveryLoopOfAKernelMetric) {
    // 600 rows in 6 groups. Reading them, and their squares: 3 + 5 times 128 rows.
    const auto of_form = [](KernelForm form, KernelRecipe recipe, int rows_per_window = 1) {
        recipe.form = form;
        const ProbeLayout layout = layout_of(600 / rows_per_window, rows_per_window, kGroups);
        return safe_points_of([&](const SafePoint& safe_point) { prepare_kernel(golden_features(1, 600, 5), layout, recipe, safe_point); });
    };
    KernelRecipe biased;
    KernelRecipe unbiased;
    unbiased.unbiased = true;
    KernelRecipe rbf;
    rbf.function = KernelRecipe::Function::rbf;
    // Tiles on and above the diagonal: of 24 segments of 25 rows, or of 5 bands of 5 segments.
    EXPECT_EQ(of_form(KernelForm::gram, biased), 8 + 24 * 25 / 2);
    EXPECT_EQ(of_form(KernelForm::streamed, biased), 8 + 5 * 6 / 2);
    // Bandwidth and centring: all pairs of rows by 128, twice.
    EXPECT_EQ(of_form(KernelForm::streamed, rbf), 8 + 2 * (5 * 6 / 2) + 5 * 6 / 2);
    // Sums of rows; a product a group; rows weighted by squares, twice; one a window of several rows.
    EXPECT_EQ(of_form(KernelForm::features, biased), 8 + 5 + kGroups);
    EXPECT_EQ(of_form(KernelForm::features, unbiased), 8 + 5 + kGroups + 2 * 2);
    EXPECT_EQ(of_form(KernelForm::features, biased, 5), 8 + 5 + kGroups + 600 / 5);
}

TEST(PreparationSafePoints, LieInTheMetricsOfAllPairsOfRows) {
    for (const char* name : {"mutual_knn", "cknna", "rsa"}) {
        const MetricInfo& metric = *find_metric(name);
        const auto prepare = [&](const SafePoint& safe_point) {
            metric.prepare(golden_features(1, 600, 5), layout_of(600, 1, kGroups), default_setting(metric), safe_point);
        };
        EXPECT_EQ(safe_points_of(prepare), 2 + 3) << name;  // reading; products of 256 rows
    }
}

INSTANTIATE_TEST_SUITE_P(Metrics, ComparisonSafePoints,
                         testing::Values("cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn", "cknna", "cca", "svcca", "pwcca",
                                         "procrustes", "rsa"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace cmsweep
