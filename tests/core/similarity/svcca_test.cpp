#include <gtest/gtest.h>

#include <cmath>

#include "core/similarity/canonical.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Svcca, AgreesWithNumPy) {
    const FeatureMatrix x = golden_features(1, 24, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const ProbeLayout layout = layout_of(24, 1, 5);
    const ComparisonResult most = compare_two("svcca", x, y, layout, {20, true}, {{"variance", 0.8}});
    EXPECT_NEAR(most.value(0, 0), 0.8070732925085506, 1e-12);
    EXPECT_NEAR(most.low(0, 0), 0.6404543132303693, 1e-9);
    EXPECT_NEAR(most.high(0, 0), 0.9011320540354923, 1e-9);
    const ComparisonResult standard = compare_two("svcca", x, y, layout, {20, true});
    EXPECT_NEAR(standard.value(0, 0), 0.8562393573836071, 1e-12);
    EXPECT_NEAR(standard.low(0, 0), 0.6781446553360352, 1e-9);
    EXPECT_NEAR(standard.high(0, 0), 0.9393491718425279, 1e-9);
    const FeatureMatrix wide = golden_features(7, 20, 40);  // n < p
    EXPECT_NEAR(value_of("svcca", wide, golden_related(wide, 8, 30), {{"variance", 0.5}}), 0.5754674080949715, 1e-12);
}

TEST(Svcca, CumulatesSquaredSingularValuesAgainstTheirWholeSum) {
    // Orthogonal columns with squared norms 90, 8, 1, 1 of 100. 97 % needs two directions. A public implementation
    // cumulates the values themselves (9.5, 2.8, 1, 1 of 14.3) and would keep three; against the total of some leading
    // values only (98, say) one would keep fewer than asked for at 0.9 already.
    FeatureMatrix x(8, 4);
    const double signs[4][8] = {{1, 1, 1, 1, -1, -1, -1, -1}, {1, 1, -1, -1, 1, 1, -1, -1}, {1, -1, 1, -1, 1, -1, 1, -1}, {1, -1, -1, 1, -1, 1, 1, -1}};
    const double squares[4] = {90, 8, 1, 1};
    for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 8; ++i) x(i, j) = static_cast<float>(signs[j][i] * std::sqrt(squares[j] / 8));
    }
    EXPECT_EQ(CanonicalBlock(x, layout_of(8), {0.89, false, {}}, {}).k, 1);
    EXPECT_EQ(CanonicalBlock(x, layout_of(8), {0.97, false, {}}, {}).k, 2);
    EXPECT_EQ(CanonicalBlock(x, layout_of(8), {0.985, false, {}}, {}).k, 3);
    EXPECT_EQ(CanonicalBlock(x, layout_of(8), {0.995, false, {}}, {}).k, 4);
    FeatureMatrix doubled(8, 8);
    doubled << x, x;
    EXPECT_EQ(CanonicalBlock(doubled, layout_of(8), {1, false, {}}, {}).k, 4);  // rank, not width
}

TEST(Svcca, TooManyDimensionsForTheRowsIsNotAValue) {
    const ComparisonResult result = compare_two("svcca", golden_features(1, 24, 20), golden_features(2, 24, 20), layout_of(24, 1, 4), {20, true});
    EXPECT_TRUE(std::isnan(result.value(0, 0)));
    EXPECT_NE(result.message().find("n = 24"), std::string::npos) << result.message();
    EXPECT_NE(result.message().find("kept dimensions"), std::string::npos);
    // Equal features are no exception: with n <= 2 k everything correlates perfectly.
    const FeatureMatrix x = golden_features(1, 24, 20);
    EXPECT_TRUE(std::isnan(value_of("svcca", x, x)));
    // Enough rows, but not once a group is deleted: a value without interval.
    const ComparisonResult tight = compare_two("svcca", golden_features(1, 24, 10), golden_features(2, 24, 10), layout_of(24, 1, 4), {20, true});
    EXPECT_TRUE(std::isfinite(tight.value(0, 0)));
    EXPECT_TRUE(std::isnan(tight.low(0, 0)));
    EXPECT_NE(tight.message().find("no interval"), std::string::npos);
}

}  // namespace
}  // namespace cmsweep
