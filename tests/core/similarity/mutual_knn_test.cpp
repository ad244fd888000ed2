#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "cmsweep/base/error.hpp"
#include "permutation_mean.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

FeatureMatrix directions(const std::vector<double>& degrees) {
    FeatureMatrix x(static_cast<Eigen::Index>(degrees.size()), 2);
    for (std::size_t i = 0; i < degrees.size(); ++i) {
        const double angle = degrees[i] * std::numbers::pi / 180;
        const double length = std::exp2(static_cast<double>(i));  // must not matter; a power of two keeps equal directions equal
        x.row(static_cast<Eigen::Index>(i)) << static_cast<float>(length * std::cos(angle)), static_cast<float>(length * std::sin(angle));
    }
    return x;
}

TEST(MutualKnn, HandCase) {
    const FeatureMatrix x = directions({0, 10, 90, 100});  // nearest: 1, 0, 3, 2
    const FeatureMatrix y = directions({0, 90, 10, 100});  // 2, 3, 0, 1
    const FeatureMatrix z = directions({0, 10, 30, 100});  // 1, 0, 1, 2
    EXPECT_EQ(value_of("mutual_knn", x, y, {{"k", 1}}), 0);
    EXPECT_EQ(value_of("mutual_knn", x, z, {{"k", 1}}), 0.75);
}

TEST(MutualKnn, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("mutual_knn", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true}, {{"k", 4}});
    EXPECT_EQ(result.value(0, 0), 0.46875);
    EXPECT_NEAR(result.low(0, 0), 0.06154043793463074, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.7421802453581989, 1e-9);
}

TEST(MutualKnn, NullMeanIsExact) {
    EXPECT_LT(null_mean_error("mutual_knn", {{"k", 2}}), 1e-13);
    const FeatureMatrix x = golden_features(1, 50, 6);
    EXPECT_NEAR(compare_two("mutual_knn", x, golden_features(2, 50, 6), layout_of(50)).null_mean(0, 0), 10.0 / 49, 1e-15);
}

TEST(MutualKnn, TiesGoToTheLowerRow) {
    // In x the rows 1, 2 and 3 are equal: nearest 1, 2, 1, 1, and 3 -> 1, 4 -> 1. In y nearest 1, 0, 3, 2 and 4 -> 3.
    const FeatureMatrix x = directions({0, 10, 10, 10, 130});
    const FeatureMatrix y = directions({0, 10, 60, 90, 200});
    EXPECT_EQ(value_of("mutual_knn", x, y, {{"k", 1}}), 1.0 / 5);
}

TEST(MutualKnn, NeedsMoreRowsThanNeighbours) {
    EXPECT_THROW(value_of("mutual_knn", golden_features(1, 10, 6), golden_features(1, 10, 6)), NumericError);
    EXPECT_NO_THROW(value_of("mutual_knn", golden_features(1, 11, 6), golden_features(1, 11, 6)));
}

}  // namespace
}  // namespace cmsweep
