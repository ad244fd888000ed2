#include <gtest/gtest.h>

#include <cmath>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Procrustes, OneFeatureIsTheAbsoluteCorrelation) {
    FeatureMatrix x(3, 1);
    FeatureMatrix z(3, 1);
    x << 1, 2, 3;
    z << -5, -8, -8;
    EXPECT_NEAR(value_of("procrustes", x, z), std::sqrt(0.75), 1e-14);
}

TEST(Procrustes, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("procrustes", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.7656331093227466, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.6517633606517855, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.8457458508751946, 1e-9);
    const FeatureMatrix wide = golden_features(7, 20, 40);  // n < p: reduced by QR first
    EXPECT_NEAR(value_of("procrustes", wide, golden_related(wide, 8, 30)), 0.9123140094027749, 1e-13);
}

TEST(Procrustes, ARotationIsNoDifference) {
    Stream stream(10, "rotation");
    const FeatureMatrix x = golden_features(1, 40, 12);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const FeatureMatrix rotated = ((2 * x.cast<double>() * orthogonal(stream, 12)).array() + 3).matrix().cast<float>();
    EXPECT_NEAR(value_of("procrustes", x, rotated), 1, 1e-6);  // rounded to float32
    EXPECT_NEAR(value_of("procrustes", rotated, y), value_of("procrustes", x, y), 1e-6);
    FeatureMatrix stretched = x;
    stretched.col(0) *= 10;
    EXPECT_LT(value_of("procrustes", x, stretched), 0.9);
}

}  // namespace
}  // namespace cmsweep
