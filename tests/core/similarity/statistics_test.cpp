#include "core/similarity/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

namespace cmsweep {
namespace {

TEST(StudentT, AgreesWithScipy) {
    // scipy.stats.t.ppf(0.975, d), printed by golden.py; SciPy 1.10 is itself only good to about 2e-10.
    EXPECT_NEAR(student_t_975(1), 12.706204736432095, 1e-9);
    EXPECT_NEAR(student_t_975(3), 3.182446305284263, 1e-9);
    EXPECT_NEAR(student_t_975(10), 2.2281388519649385, 1e-9);
    EXPECT_NEAR(student_t_975(31), 2.0395134463964077, 1e-9);
    EXPECT_NEAR(student_t_975(1), std::tan(std::numbers::pi * 0.475), 1e-12);  // closed forms of one and two degrees
    EXPECT_NEAR(student_t_975(2), 0.95 / std::sqrt(2 * 0.975 * 0.025), 1e-13);
}

TEST(NullQuantile, IsTheSmallestPointThatRejectsAtFivePercent) {
    std::vector<double> values(20);
    std::iota(values.begin(), values.end(), 1.0);
    EXPECT_EQ(null_quantile_95(values), 20);  // of 21 exchangeable values one in 21 is above all others
    values.resize(39);
    std::iota(values.begin(), values.end(), 1.0);
    EXPECT_EQ(null_quantile_95(values), 38);  // two of 40 are above it
    values.resize(18);
    EXPECT_TRUE(std::isnan(null_quantile_95(values)));
    EXPECT_TRUE(std::isnan(null_quantile_95({})));
}

TEST(Jackknife, EqualGroupsGiveTheTextbookStandardError) {
    // Small values: atanh is the identity to 1e-9. SE^2 = (g-1)/g sum (deleted - mean)^2 = 3/4 x 2e-8.
    const std::vector<double> deleted{1e-4, -1e-4, 0, 0};
    const std::vector<Eigen::Index> rows{3, 3, 3, 3};
    const Interval interval = jackknife_interval(0, deleted, rows);
    EXPECT_NEAR(interval.high, student_t_975(3) * std::sqrt(0.75 * 2e-8), 1e-10);
    EXPECT_NEAR(interval.low, -interval.high, 1e-15);
}

TEST(Jackknife, StaysBelowOneAndIsExactAtOne) {
    const std::vector<double> deleted{0.999, 0.9, 0.97};
    const std::vector<Eigen::Index> rows{5, 1, 7};
    const Interval interval = jackknife_interval(0.98, deleted, rows);
    EXPECT_LT(interval.low, 0.98);
    EXPECT_GT(interval.high, 0.98);
    EXPECT_LE(interval.high, 1);
    EXPECT_EQ(jackknife_interval(1, deleted, rows).low, 1);
    EXPECT_TRUE(std::isnan(jackknife_interval(0.5, std::vector<double>{0.5}, rows).low));
    EXPECT_TRUE(std::isnan(jackknife_interval(0.5, std::vector<double>{0.5, std::nan(""), 0.5}, rows).low));
}

}  // namespace
}  // namespace cmsweep
