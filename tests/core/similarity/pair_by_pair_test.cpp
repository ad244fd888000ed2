// Canonical metrics and procrustes on more rows than are formed and multiplied at a time.
#include <gtest/gtest.h>

#include <cmath>
#include <stdexcept>

#include <Eigen/SVD>

#include "core/similarity/canonical.hpp"
#include "core/similarity/statistics.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

FeatureMatrix rows_of(const FeatureMatrix& features, const std::vector<Index>& rows) {
    FeatureMatrix result(static_cast<Index>(rows.size()), features.cols());
    for (Index i = 0; i < result.rows(); ++i) result.row(i) = features.row(rows[static_cast<std::size_t>(i)]);
    return result;
}

class PairByPair : public testing::TestWithParam<std::string> {};

TEST_P(PairByPair, FiguresAreThoseOfThePermutedAndRemainingRows) {
    const nlohmann::json given = GetParam() == "procrustes" ? nlohmann::json::object() : nlohmann::json{{"variance", 1.0}};
    for (const std::int64_t windows : {75, 300}) {  // 1350 rows; 5400, whose bases are not kept
        const ProbeLayout layout = layout_of(windows, 18, 4);
        const Index n = layout.rows();
        ASSERT_EQ(keeps_basis(n, 5), windows == 75);
        const FeatureMatrix x = golden_features(1, n, 5);
        const FeatureMatrix y = golden_related(x, 2, 7);
        const ComparisonResult result = compare_two(GetParam(), x, y, layout, {19, true}, given);

        std::vector<double> permuted;
        for (const auto& permutation : window_permutations(layout, 19)) {
            permuted.push_back(value_of(GetParam(), x, rows_of(y, permuted_rows(layout, permutation)), given));
        }
        EXPECT_NEAR(result.null_p95(0, 0), null_quantile_95(permuted), 1e-13);

        std::vector<double> deleted;
        std::vector<Index> group_rows;
        for (std::int32_t g = 0; g < 4; ++g) {
            std::vector<Index> kept;
            for (Index row = 0; row < n; ++row) {
                if (layout.group[static_cast<std::size_t>(row / 18)] != g) kept.push_back(row);
            }
            deleted.push_back(value_of(GetParam(), rows_of(x, kept), rows_of(y, kept), given));
            group_rows.push_back(n - static_cast<Index>(kept.size()));
        }
        const Interval interval = jackknife_interval(result.value(0, 0), deleted, group_rows);
        EXPECT_NEAR(result.low(0, 0), interval.low, 1e-11);
        EXPECT_NEAR(result.high(0, 0), interval.high, 1e-11);
    }
}

TEST_P(PairByPair, PreparationHasSafePoints) {
    const MetricInfo& metric = *find_metric(GetParam());
    const FeatureMatrix x = golden_features(1, 5400, 5);
    int count = 0;
    const auto prepare = [&](const SafePoint& safe_point) { metric.prepare(x, layout_of(5400, 1, 4), default_setting(metric), safe_point); };
    prepare([&] { ++count; });
    EXPECT_GE(count, 2 * 5400 / kBandRows);
    EXPECT_THROW(prepare([&] {
                     if (--count == 0) throw std::runtime_error("the run ends here");
                 }),
                 std::runtime_error);
}

INSTANTIATE_TEST_SUITE_P(Metrics, PairByPair, testing::Values("cca", "svcca", "pwcca", "procrustes"),
                         [](const auto& tested) { return tested.param; });

TEST(Canonical, KeptAndFormedBasesAgree) {
    const ProbeLayout layout = layout_of(70, 10, 6);
    FeatureMatrix x = golden_features(1, 700, 12);
    const FeatureMatrix y = golden_related(x, 2, 9);
    x.col(3) *= 1e-3F;
    for (const double variance : {0.9, 1.0}) {
        const auto compared = [&](const std::string& name, bool keep_x, bool keep_y) {
            const auto block = [&](const FeatureMatrix& features, bool keep) {
                return std::make_shared<const CanonicalBlock>(features, layout, CanonicalRecipe{variance, true, keep}, SafePoint());
            };
            return find_metric(name)->compare({block(x, keep_x)}, {block(y, keep_y)}, layout, {}, {20, true}, {});
        };
        for (const std::string name : {"cca", "svcca", "pwcca"}) {
            const ComparisonResult kept = compared(name, true, true);
            for (const auto& formed : {compared(name, false, false), compared(name, true, false), compared(name, false, true)}) {
                for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95,
                                          &ComparisonResult::low, &ComparisonResult::high}) {
                    EXPECT_NEAR((formed.*figure)(0, 0), (kept.*figure)(0, 0), 1e-12) << name;
                }
            }
        }
    }
}

TEST(Canonical, MoreRowsTakeNoDirectionsAway) {
    // One feature a hundred times the others, as in residual streams. With a tolerance in proportion to n seven of eight
    // directions were lost at n = 200,000.
    FeatureMatrix few = golden_features(1, 2000, 8);
    few.col(5) *= 100;
    FeatureMatrix many(200000, 8);
    for (Index i = 0; i < 100; ++i) many.middleRows(i * 2000, 2000) = few;
    const CanonicalBlock of_few(few, layout_of(2000), {}, {});
    const CanonicalBlock of_many(many, layout_of(200000), {}, {});
    EXPECT_EQ(of_few.k, 8);
    ASSERT_EQ(of_many.k, 8);
    EXPECT_LT((of_many.squares / 100 - of_few.squares).cwiseAbs().maxCoeff(), 1e-9 * of_few.squares(0));
}

TEST(Canonical, ManyRowsAreNotKept) {
    const FeatureMatrix x = golden_features(1, 5000, 6);
    const ProbeLayout layout = layout_of(5000);
    const CanonicalBlock formed(x, layout, {}, {});
    const CanonicalBlock kept(x, layout, {1, false, true}, {});
    EXPECT_FALSE(formed.kept);
    EXPECT_LT(formed.bytes(), 5000u * 6 * sizeof(float));
    EXPECT_GE(kept.bytes(), 5000u * 6 * sizeof(double));
    EXPECT_LT(formed.bytes(), kept.bytes());
}

TEST(Canonical, BandsOfRowsKeepTheDigitsOfSmallDirections) {
    // Features all of a size, singular values from 1 down to 2^-12, mixed by a rotation. A Gram matrix holds their squares:
    // the smallest value would be off by 2^-53 2^12 = 5e-13 at best.
    Stream stream(3, "small directions");
    Eigen::MatrixXd directions = golden_features(4, 1500, 10).cast<double>();
    directions *= std::sqrt(12.0 / 1500);
    for (Index j = 4; j < 10; ++j) directions.col(j) *= std::ldexp(1.0, static_cast<int>(-3 - j));
    const FeatureMatrix x = (directions * orthogonal(stream, 10)).cast<float>();
    const CanonicalBlock block(x, layout_of(1500), {}, {});
    Eigen::MatrixXd centred = x.cast<double>();
    centred.rowwise() -= centred.colwise().mean().eval();
    const Eigen::VectorXd all_at_once = Eigen::JacobiSVD<Eigen::MatrixXd>(centred).singularValues();
    EXPECT_LT(all_at_once(9), 3e-4);
    ASSERT_EQ(block.k, 10);
    EXPECT_LT((block.squares.cwiseSqrt() - all_at_once).cwiseAbs().maxCoeff(), 1e-14);
}

}  // namespace
}  // namespace cmsweep
