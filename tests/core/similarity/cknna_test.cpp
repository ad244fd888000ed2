#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Cknna, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("cknna", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true}, {{"k", 4}});
    EXPECT_NEAR(result.value(0, 0), 0.4494762343102106, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.27786249061713775, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.5932869084588135, 1e-9);
}

TEST(Cknna, WithAllNeighboursIsDebiasedCkaOfUnitRows) {
    const FeatureMatrix x = golden_features(1, 30, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const FeatureMatrix unit_x = x.rowwise().normalized();
    const FeatureMatrix unit_y = y.rowwise().normalized();
    EXPECT_NEAR(value_of("cknna", x, y, {{"k", 29}}), value_of("cka_debiased", unit_x, unit_y), 1e-6);  // float32 unit rows
}

TEST(Cknna, DoesNotSeeTheLengthsOfRows) {
    const FeatureMatrix x = golden_features(1, 30, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    FeatureMatrix longer = x;
    for (Eigen::Index row = 0; row < 30; row += 3) longer.row(row) *= 8;
    EXPECT_NEAR(value_of("cknna", longer, y), value_of("cknna", x, y), 1e-14);
}

TEST(Cknna, NeedsTwoNeighboursAndEnoughRows) {
    EXPECT_TRUE(find_metric("cknna")->parameters.at(0).problem(1));
    EXPECT_THROW(value_of("cknna", golden_features(1, 10, 6), golden_features(1, 10, 6)), NumericError);
    EXPECT_THROW(value_of("cknna", golden_features(1, 3, 6), golden_features(1, 3, 6), {{"k", 2}}), NumericError);
}

}  // namespace
}  // namespace cmsweep
