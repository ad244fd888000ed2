#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "permutation_mean.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(CkaRbf, HandCase) {
    // Rows at two points only: the centred kernel is a multiple of s s^T with s = (-1, -1, 1, 1), t = (-1, 1, -1, 1),
    // u = (-1, -1, -1, 3). s.t = 0, (s.u)^2 / (|s|^2 |u|^2) = 16 / 48.
    FeatureMatrix x(4, 1);
    FeatureMatrix y(4, 1);
    FeatureMatrix z(4, 1);
    x << 0, 0, 2, 2;
    y << 5, 7, 5, 7;
    z << 1, 1, 1, 3;
    EXPECT_NEAR(value_of("cka_rbf", x, y), 0, 1e-15);
    EXPECT_NEAR(value_of("cka_rbf", x, z), 1.0 / 3, 1e-14);
}

TEST(CkaRbf, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const ComparisonResult result = compare_two("cka_rbf", x, y, layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.727107927195386, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.5758469211195298, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.8302375085716782, 1e-9);
    EXPECT_NEAR(value_of("cka_rbf", x, y, {{"f", 0.4}}), 0.8446549158059713, 1e-13);
}

TEST(CkaRbf, IsInvariantUnderRotationScalingAndShift) {
    Stream stream(6, "rbf");
    const FeatureMatrix x = golden_features(1, 40, 12);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const FeatureMatrix moved = ((3 * x.cast<double>() * orthogonal(stream, 12)).array() + 7).matrix().cast<float>();
    EXPECT_NEAR(value_of("cka_rbf", moved, y), value_of("cka_rbf", x, y), 1e-5);  // float32 rounds the moved features at 7
}

TEST(CkaRbf, NullMeanIsExact) { EXPECT_LT(null_mean_error("cka_rbf"), 1e-13); }

TEST(CkaRbf, NeedsABandwidthAndABoundedNumberOfRows) {
    FeatureMatrix x = FeatureMatrix::Zero(20, 3);
    x(0, 0) = 1;  // 171 of 190 distances are 0
    EXPECT_THROW(value_of("cka_rbf", x, x), NumericError);
    EXPECT_THROW(value_of("cka_rbf", golden_features(1, 8193, 1), golden_features(1, 8193, 1)), NumericError);
}

}  // namespace
}  // namespace cmsweep
