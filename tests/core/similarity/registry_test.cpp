// What holds for every metric, so that a new one is checked by its registry line alone.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <set>

#include "cmsweep/base/error.hpp"
#include "core/similarity/rows.hpp"
#include "core/similarity/statistics.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(SimilarityRegistry, HoldsTheMetricsOfTheDesign) {
    std::vector<std::string> names;
    for (const auto& metric : similarity_metrics()) names.push_back(metric.name);
    EXPECT_EQ(names, (std::vector<std::string>{"cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn",
                                               "cknna", "svcca", "pwcca", "cca", "procrustes", "rsa"}));
    EXPECT_EQ(find_metric("cka"), nullptr);
}

class EveryMetric : public testing::TestWithParam<std::string> {
protected:
    const MetricInfo& metric = *find_metric(GetParam());
    // 60 rows, few features: every metric is defined, the canonical ones have n well above both dimensions.
    FeatureMatrix x = golden_features(21, 60, 5);
    FeatureMatrix y = golden_related(x, 22, 7);
    nlohmann::json given = metric.name == "cka_minibatch" ? nlohmann::json{{"batch", 15}} : nlohmann::json::object();
};

TEST_P(EveryMetric, DescribesItselfAndHasValidDefaults) {
    EXPECT_FALSE(metric.summary.empty());
    EXPECT_FALSE(metric.source.empty());
    for (const auto& parameter : metric.parameters) {
        EXPECT_FALSE(parameter.problem(parameter.default_value)) << parameter.name;
        EXPECT_FALSE(parameter.summary.empty());
    }
}

TEST_P(EveryMetric, IsExactlyOneForEqualFeatures) {
    const ComparisonResult result = compare_two(metric.name, x, FeatureMatrix(x), layout_of(60, 1, 6), {20, true}, given);
    EXPECT_EQ(result.value(0, 0), 1);
    EXPECT_EQ(result.low(0, 0), 1);
    EXPECT_EQ(result.high(0, 0), 1);
    EXPECT_LT(result.null_p95(0, 0), 1);
}

TEST_P(EveryMetric, IsOneToRoundingForScaledFeatures) {
    EXPECT_NEAR(value_of(metric.name, x, 4 * x, given), 1, 1e-12);  // a power of two: float32 rounds nothing
}

TEST_P(EveryMetric, IsSymmetricIfItSaysSo) {
    const double forward = value_of(metric.name, x, y, given);
    const double backward = value_of(metric.name, y, x, given);
    if (metric.symmetric) {
        EXPECT_NEAR(forward, backward, 1e-13);
    } else {
        EXPECT_GT(std::abs(forward - backward), 1e-4);
    }
}

TEST_P(EveryMetric, FindsRelatedFeaturesAboveTheNull) {
    for (const int rows_per_window : {1, 2}) {
        const ProbeLayout layout = layout_of(60 / rows_per_window, rows_per_window, 6);
        const ComparisonResult result = compare_two(metric.name, x, y, layout, {20, true}, given);
        EXPECT_GT(result.value(0, 0), result.null_p95(0, 0));
        EXPECT_GT(result.null_p95(0, 0), result.null_mean(0, 0));
        EXPECT_LT(result.low(0, 0), result.value(0, 0));
        EXPECT_GT(result.high(0, 0), result.value(0, 0));
        EXPECT_EQ(result.message(), "");
    }
}

TEST_P(EveryMetric, NullIsThatOfPermutedWindows) {
    const ProbeLayout layout = layout_of(30, 2);
    std::vector<double> values;
    double mean = 0;
    for (const auto& permutation : window_permutations(layout, 40)) {
        const auto rows = permuted_rows(layout, permutation);
        FeatureMatrix permuted(60, y.cols());
        for (Index row = 0; row < 60; ++row) permuted.row(row) = y.row(rows[static_cast<std::size_t>(row)]);
        values.push_back(compare_two(metric.name, x, permuted, layout, {0, false}, given).value(0, 0));
        mean += values.back() / 40;
    }
    const ComparisonResult result = compare_two(metric.name, x, y, layout, {40, false}, given);
    EXPECT_NEAR(result.null_p95(0, 0), null_quantile_95(values), 1e-12);
    double deviation = 0;
    for (const double value : values) deviation += (value - mean) * (value - mean) / 39;
    EXPECT_NEAR(result.null_mean(0, 0), mean, 4 * std::sqrt(deviation / 40));  // exact mean against the mean of 40
}

TEST_P(EveryMetric, BitsDoNotDependOnWhatElseIsCompared) {
    const ProbeLayout layout = layout_of(60, 1, 6);
    const auto setting = default_setting(metric, given);
    std::vector<FeatureMatrix> features{x, y};
    for (std::uint64_t seed = 30; seed < 34; ++seed) features.push_back(golden_related(x, seed, 6));
    const PreparedBlocks blocks = prepared(metric, features, layout, given);
    const auto all = metric.compare(blocks, blocks, layout, setting, {20, true}, {});
    const auto same = metric.compare(blocks, blocks, layout, setting, {20, true}, same_blocks(6));
    const PreparedBlocks again = prepared(metric, {features[1]}, layout, given);
    const auto alone = metric.compare({blocks[4]}, again, layout, setting, {20, true}, {});
    for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                              &ComparisonResult::low, &ComparisonResult::high}) {
        EXPECT_EQ(std::bit_cast<std::uint64_t>((alone.*figure)(0, 0)), std::bit_cast<std::uint64_t>((all.*figure)(4, 1)));
        EXPECT_EQ(std::bit_cast<std::uint64_t>((same.*figure)(3, 3)), std::bit_cast<std::uint64_t>((all.*figure)(3, 3)));
        EXPECT_TRUE(std::isnan((same.*figure)(0, 1)));
    }
    EXPECT_GT(blocks[0]->bytes(), 100u);
}

TEST_P(EveryMetric, TakesAsManyRowsAsItsLineInTheRegistrySays) {
    const Eigen::Index most = metric.most_rows;
    const Eigen::Index rows = most > 0 ? most + 1 : 40000;
    const auto prepare = [&] { metric.prepare(golden_features(1, rows, 3), layout_of(rows), default_setting(metric, given), {}); };
    if (most == 0) {
        EXPECT_NO_THROW(prepare());
        return;
    }
    try {
        prepare();
        FAIL() << rows << " rows: expected a NumericError";
    } catch (const NumericError& error) {
        EXPECT_NE(std::string(error.what()).find(" " + std::to_string(most)), std::string::npos) << error.what();
    }
}

TEST_P(EveryMetric, RefusesConstantAndNonFiniteFeatures) {
    EXPECT_THROW(metric.prepare(FeatureMatrix(FeatureMatrix::Constant(60, 5, 0.1F)), layout_of(60), default_setting(metric, given), {}), NumericError);
    FeatureMatrix broken = x;
    broken(3, 2) = std::numeric_limits<float>::quiet_NaN();
    EXPECT_THROW(metric.prepare(broken, layout_of(60), default_setting(metric, given), {}), NumericError);
}

TEST_P(EveryMetric, GivesAValueOrAReasonForFewRowsAndDuplicates) {
    for (const Index n : {1, 2, 3, 4, 5, 11, 12}) {
        const ProbeLayout layout = layout_of(n, 1, 2);
        try {
            const ComparisonResult result =
                compare_two(metric.name, golden_features(1, n, 4), golden_features(2, n, 4), layout, {20, true}, given);
            for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                                      &ComparisonResult::low, &ComparisonResult::high}) {
                if (std::isnan((result.*figure)(0, 0))) {
                    EXPECT_NE(result.message(), "") << "n = " << n;
                }
            }
        } catch (const NumericError& error) {
            EXPECT_NE(std::string(error.what()).find("n = "), std::string::npos) << error.what();
        }
    }
    FeatureMatrix wide(60, 10);
    wide << x, x;  // every feature twice
    FeatureMatrix repeated = x;
    for (Index row = 1; row < 60; row += 2) repeated.row(row) = repeated.row(row - 1);  // every row twice
    for (const auto& features : {wide, repeated}) {
        const ComparisonResult result = compare_two(metric.name, features, y, layout_of(60, 1, 6), {20, true}, given);
        EXPECT_TRUE(std::isfinite(result.value(0, 0)));
        EXPECT_TRUE(std::isfinite(result.low(0, 0))) << result.message();
    }
}

TEST_P(EveryMetric, ALargeCommonMeanChangesNothingWhereColumnsAreCentred) {
    const FeatureMatrix shifted = (x.array() + 1e4F).matrix();
    const FeatureMatrix rounded = (shifted.array() - 1e4F).matrix();  // what float32 kept of x at 1e4; exact
    const ProbeLayout layout = layout_of(60, 1, 6);
    const ComparisonResult at_mean = compare_two(metric.name, shifted, y, layout, {20, true}, given);
    const ComparisonResult without = compare_two(metric.name, rounded, y, layout, {20, true}, given);
    if (metric.name == "mutual_knn" || metric.name == "cknna") {  // directions from the origin, by definition
        EXPECT_GT(std::abs(at_mean.value(0, 0) - without.value(0, 0)), 1e-3);
        return;
    }
    for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                              &ComparisonResult::low, &ComparisonResult::high}) {
        // Canonical correlations invert what float32 left of the smallest directions.
        EXPECT_NEAR((at_mean.*figure)(0, 0), (without.*figure)(0, 0), 1e-9);
    }
}

TEST_P(EveryMetric, ARowAHundredTimesTheOthersGivesAValueAndIsNamedWhereItRules) {
    const std::set<std::string> unaffected{"cka_rbf", "mutual_knn", "cknna", "rsa"};  // bounded kernel; rows at unit length
    FeatureMatrix far = x;
    far.row(17) *= 100;
    const ComparisonResult result = compare_two(metric.name, far, y, layout_of(60, 1, 6), {20, true}, given);
    for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                              &ComparisonResult::low, &ComparisonResult::high}) {
        EXPECT_TRUE(std::isfinite((result.*figure)(0, 0))) << result.message();
    }
    if (unaffected.contains(metric.name)) {
        EXPECT_EQ(result.message(), "");
    } else {
        EXPECT_NE(result.message().find("A block 0: row 17 holds 9"), std::string::npos) << result.message();
        const ComparisonResult exchanged = compare_two(metric.name, y, far, layout_of(60, 1, 6), {20, true}, given);
        EXPECT_NE(exchanged.message().find("B block 0: row 17 holds 9"), std::string::npos) << exchanged.message();
    }
}

TEST_P(EveryMetric, NothingIsMissingWithoutAMessage) {
    // One window: nothing to permute. No permutations: only nulls with a formula.
    const ComparisonResult one_window = compare_two(metric.name, x, y, layout_of(1, 60, 1), {20, true}, given);
    EXPECT_TRUE(std::isfinite(one_window.value(0, 0)));
    EXPECT_NE(one_window.message().find("one window"), std::string::npos) << one_window.message();
    EXPECT_NE(one_window.message().find("no interval"), std::string::npos) << one_window.message();
    const ComparisonResult none = compare_two(metric.name, x, y, layout_of(60, 1, 6), {0, true}, given);
    EXPECT_EQ(std::isnan(none.null_mean(0, 0)), none.message().find("the null's mean has no formula here") != std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Metrics, EveryMetric,
                         testing::Values("cka_linear", "cka_debiased", "cka_rbf", "cka_minibatch", "mutual_knn", "cknna",
                                         "svcca", "pwcca", "cca", "procrustes", "rsa"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace cmsweep
