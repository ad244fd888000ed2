#include <gtest/gtest.h>

#include "permutation_mean.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Cca, OneFeatureIsTheSquaredCorrelation) {
    FeatureMatrix x(3, 1);
    FeatureMatrix z(3, 1);
    x << 1, 2, 3;
    z << 5, 8, 8;
    EXPECT_NEAR(value_of("cca", x, z), 0.75, 1e-14);  // 9 / 12, see CkaLinear
}

TEST(Cca, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("cca", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.7433850538241926, 1e-12);
    EXPECT_NEAR(result.low(0, 0), 0.553456429496479, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.8598207945728424, 1e-9);
}

TEST(Cca, IsInvariantUnderInvertibleLinearMaps) {
    Stream stream(9, "invertible");
    const FeatureMatrix x = golden_features(1, 60, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    Eigen::MatrixXd map = orthogonal(stream, 6);
    map.col(0) *= 20;  // far from orthogonal
    map.col(3) += 5 * map.col(1);
    const FeatureMatrix mapped = (x.cast<double>() * map).cast<float>();
    EXPECT_NEAR(value_of("cca", mapped, y), value_of("cca", x, y), 1e-5);  // mapped features are rounded to float32
    EXPECT_GT(std::abs(value_of("cka_linear", mapped, y) - value_of("cka_linear", x, y)), 0.05);
}

TEST(Cca, NullMeanIsExact) { EXPECT_LT(null_mean_error("cca"), 1e-12); }

TEST(Cca, IndependentGaussiansHaveTheMeanOfTheFormula) {
    // max(k_x, k_y) / (n - 1).
    const ComparisonResult result = compare_two("cca", golden_features(1, 100, 5), golden_features(2, 100, 20), layout_of(100));
    EXPECT_NEAR(result.null_mean(0, 0), 20.0 / 99, 1e-12);
}

}  // namespace
}  // namespace cmsweep
