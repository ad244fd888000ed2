#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "cmsweep/base/error.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(CkaDebiased, HandCase) {
    // n = 4, one feature x = (0, 0, 1, 1): off the diagonal K - u_i - u_j leaves a 1 for the pairs {1,2} and {3,4} and
    // -1/2 for the four others (any multiple); y = (0, 1, 0, 1) the same for {1,3}, {2,4}. Their products:
    // 2 (1)(-1/2) + 2 (-1/2)(1) + 2 (1/4) = -3/2 against 2 + 4/4 = 3: -1/2.
    FeatureMatrix x(4, 1);
    FeatureMatrix y(4, 1);
    x << 0, 0, 1, 1;
    y << 0, 1, 0, 1;
    EXPECT_NEAR(value_of("cka_debiased", x, y), -0.5, 1e-14);
}

TEST(CkaDebiased, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const ComparisonResult result = compare_two("cka_debiased", x, golden_related(x, 2, 9), layout_of(24, 1, 5), {20, true});
    EXPECT_NEAR(result.value(0, 0), 0.5961736399656574, 1e-13);
    EXPECT_NEAR(result.low(0, 0), 0.3104530850936793, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.7830987239064622, 1e-9);
    const FeatureMatrix tall = golden_features(3, 120, 5);
    const ComparisonResult features = compare_two("cka_debiased", tall, golden_related(tall, 4, 5), layout_of(120, 1, 7), {20, true});
    EXPECT_NEAR(features.value(0, 0), 0.48157695281299145, 1e-13);
    EXPECT_NEAR(features.low(0, 0), 0.41299804281773767, 1e-9);
    EXPECT_NEAR(features.high(0, 0), 0.5447253587081293, 1e-9);
}

TEST(CkaDebiased, FindsTheValueOfThePopulationWhereTheBiasedFormDoesNot) {
    // y = r x + sqrt(1 - r^2) e with standard normal x, e: the population's CKA is r^2.
    Stream stream(5, "population");
    const double r = 0.6;
    double debiased = 0;
    double biased = 0;
    const int repeats = 40;
    for (int i = 0; i < repeats; ++i) {
        const FeatureMatrix x = gaussian(stream, 100, 60);
        const FeatureMatrix e = gaussian(stream, 100, 60);
        const FeatureMatrix y = (r * x.cast<double>() + std::sqrt(1 - r * r) * e.cast<double>()).cast<float>();
        debiased += value_of("cka_debiased", x, y) / repeats;
        biased += value_of("cka_linear", x, y) / repeats;
    }
    EXPECT_NEAR(debiased, r * r, 0.015);  // standard deviation of one value about 0.03, of the mean 0.005
    EXPECT_GT(biased, r * r + 0.1);
}

TEST(CkaDebiased, NeedsFourRows) {
    const FeatureMatrix x = golden_features(1, 3, 6);
    try {
        value_of("cka_debiased", x, x);
        FAIL() << "three rows were accepted";
    } catch (const NumericError& error) {
        EXPECT_NE(std::string(error.what()).find("n = 3"), std::string::npos) << error.what();
    }
    EXPECT_NO_THROW(value_of("cka_debiased", golden_features(1, 4, 6), golden_features(2, 4, 6)));
}

}  // namespace
}  // namespace cmsweep
