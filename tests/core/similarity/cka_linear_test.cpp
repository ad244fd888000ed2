#include <gtest/gtest.h>

#include <cmath>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(CkaLinear, HandCase) {
    // Centred x = (-1, 0, 1), y = (-1, 2, -1): x^T y = 0. With z = (-2, 1, 1): (x.z)^2 / (|x|^2 |z|^2) = 9 / 12.
    FeatureMatrix x(3, 1);
    FeatureMatrix y(3, 1);
    FeatureMatrix z(3, 1);
    x << 1, 2, 3;
    y << 0, 3, 0;
    z << 5, 8, 8;
    EXPECT_NEAR(value_of("cka_linear", x, y), 0, 1e-15);
    EXPECT_NEAR(value_of("cka_linear", x, z), 0.75, 1e-15);
}

TEST(CkaLinear, AgreesWithNumPy) {
    // golden.py; both sums have relative rounding errors of about 1e-15, SciPy's t quantile one of 1e-10.
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("cka_linear", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.6921361167320992, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.508767621148564, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.8154297446059463, 1e-9);
    const FeatureMatrix tall = golden_features(3, 120, 5);
    const ComparisonResult features = compare_two("cka_linear", tall, golden_related(tall, 4, 5), layout_of(120, 1, 7), {20, true});
    EXPECT_NEAR(features.value(0, 0), 0.5023258218371772, 1e-13);
    EXPECT_NEAR(features.low(0, 0), 0.43803021550327276, 1e-9);
    EXPECT_NEAR(features.high(0, 0), 0.5615083647766952, 1e-9);
}

TEST(CkaLinear, IsInvariantUnderRotationAndScalingAndSymmetric) {
    Stream stream(2, "invariance");
    const FeatureMatrix x = golden_features(1, 40, 12);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const FeatureMatrix rotated = (3 * x.cast<double>() * orthogonal(stream, 12)).cast<float>();
    const double value = value_of("cka_linear", x, y);
    EXPECT_NEAR(value_of("cka_linear", rotated, y), value, 1e-6);  // the rotated features are rounded to float32
    EXPECT_NEAR(value_of("cka_linear", y, x), value, 1e-15);
    FeatureMatrix stretched = x;
    stretched.col(0) *= 10;  // not isotropic: must differ
    EXPECT_GT(std::abs(value_of("cka_linear", stretched, y) - value), 0.01);
    FeatureMatrix doubled(40, 24);
    doubled << x, x;  // duplicate features: the same Gram matrix twice
    EXPECT_NEAR(value_of("cka_linear", doubled, y), value, 1e-14);
}

TEST(CkaLinear, IndependentGaussiansShowTheBiasAndTheNullNamesIt) {
    // E[tr K tr L / ((n-1) |K||L|)] = p / (n - 1 + p) for Gaussian data, nearly: 768 / 895 = 0.858 (the design: 0.857).
    Stream stream(4, "bias");
    const FeatureMatrix x = gaussian(stream, 128, 768);
    const FeatureMatrix y = gaussian(stream, 128, 768);
    const ComparisonResult result = compare_two("cka_linear", x, y, layout_of(128, 1, 32), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.857, 0.006);  // one draw; its standard deviation is 0.0016
    EXPECT_NEAR(result.null_mean(0, 0), result.value(0, 0), 0.006);
    EXPECT_NEAR(result.null_p95(0, 0), result.value(0, 0), 0.006);
    EXPECT_NEAR(compare_two("cka_debiased", x, y, layout_of(128)).value(0, 0), 0, 0.02);
}

TEST(CkaLinear, WhatIsNotWantedIsLeftOut) {
    const MetricInfo& metric = *find_metric("cka_linear");
    const ProbeLayout layout = layout_of(20, 1, 4);
    const FeatureMatrix x = golden_features(1, 20, 6);
    const auto blocks = prepared(metric, {x, golden_related(x, 2, 6)}, layout);
    const auto all = metric.compare(blocks, blocks, layout, default_setting(metric), {20, true}, {});
    const auto same = metric.compare(blocks, blocks, layout, default_setting(metric), {20, true}, same_blocks(2));
    EXPECT_TRUE(std::isnan(same.value(0, 1)));
    EXPECT_TRUE(std::isnan(same.null_p95(1, 0)));
    EXPECT_EQ(same.value(1, 1), all.value(1, 1));
    EXPECT_EQ(same.null_p95(1, 1), all.null_p95(1, 1));
}

}  // namespace
}  // namespace cmsweep
