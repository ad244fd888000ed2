#include <gtest/gtest.h>

#include <cmath>

#include "cmsweep/base/error.hpp"
#include "permutation_mean.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Rsa, HandCase) {
    // Rows as directions in the plane orthogonal to (1, 1, 1): correlations are cosines. x at 0, 10, 90 degrees:
    // dissimilarities of the pairs (01, 02, 12) rank 1, 3, 2. y at 0, 100, 60: 3, 2, 1. Their correlation: -1/2.
    const auto at = [](std::vector<double> degrees) {
        FeatureMatrix x(3, 3);
        for (int i = 0; i < 3; ++i) {
            const double angle = degrees[static_cast<std::size_t>(i)] * 3.14159265358979 / 180;
            const double a = std::cos(angle) / std::sqrt(2.0);
            const double b = std::sin(angle) / std::sqrt(6.0);
            x.row(i) << static_cast<float>(a + b + 5), static_cast<float>(-a + b + 5), static_cast<float>(-2 * b + 5);
        }
        return x;
    };
    EXPECT_NEAR(value_of("rsa", at({0, 10, 90}), at({0, 100, 60})), -0.5, 1e-14);
}

TEST(Rsa, AgreesWithSciPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("rsa", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.5935240650104879, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.43483668033660094, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.7164598432721845, 1e-9);
}

TEST(Rsa, SeesOnlyTheOrderOfDissimilaritiesAndNotScaleOrMeanOfRows) {
    const FeatureMatrix x = golden_features(1, 30, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    FeatureMatrix changed = x;
    for (Eigen::Index row = 0; row < 30; ++row) changed.row(row) *= static_cast<float>(1 << (row % 4));
    EXPECT_NEAR(value_of("rsa", changed, y), value_of("rsa", x, y), 1e-14);
    FeatureMatrix shifted = x;
    shifted.col(0).array() += 1;  // columns are not centred: this is a change
    EXPECT_GT(std::abs(value_of("rsa", shifted, y) - value_of("rsa", x, y)), 0.01);
}

TEST(Rsa, EqualRowsTieExactly) {
    // Row 2 equals row 0, row 3 row 1: pairs 01, 03, 12, 23 tie whatever the rounding of their products.
    FeatureMatrix x = (golden_features(1, 5, 7) * 256).array().round();  // few bits: three and seven times them are exact
    x.row(2) = x.row(0);
    x.row(3) = x.row(1);
    FeatureMatrix y = x;
    y.row(2) *= 3;  // the same correlations, other rounding
    y.row(3) *= 7;
    EXPECT_NEAR(value_of("rsa", x, y), 1, 1e-14);
}

TEST(Rsa, NullMeanIsExact) {
    // Three features at least: with two all correlations are 1 or -1.
    for (const int rows_per_window : {1, 3}) {
        const ProbeLayout layout = layout_of(6, rows_per_window);
        const FeatureMatrix x = golden_features(10, layout.rows(), 4);
        const FeatureMatrix y = golden_related(x, 11, 5);
        EXPECT_NEAR(compare_two("rsa", x, y, layout).null_mean(0, 0), mean_over_every_permutation("rsa", x, y, layout), 1e-13);
    }
}

TEST(Rsa, ARowWithoutVariationIsAnErrorThatNamesIt) {
    FeatureMatrix x = golden_features(1, 10, 6);
    x.row(7).setConstant(0.1F);
    try {
        value_of("rsa", x, x);
        FAIL();
    } catch (const NumericError& error) {
        EXPECT_NE(std::string(error.what()).find("row 7"), std::string::npos) << error.what();
    }
}

}  // namespace
}  // namespace cmsweep
