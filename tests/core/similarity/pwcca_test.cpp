#include <gtest/gtest.h>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(Pwcca, AgreesWithNumPyWhicheverArgumentIsWider) {
    // A public implementation takes the activations of the other argument when it is the narrower one: exchanged
    // arguments would then give the same value. The weights are always the first argument's.
    const FeatureMatrix x = golden_features(1, 24, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const ComparisonResult result = compare_two("pwcca", x, y, layout_of(24, 1, 5), {20, true}, {{"variance", 1.0}});
    EXPECT_NEAR(result.value(0, 0), 0.8689543487136274, 1e-12);
    EXPECT_NEAR(result.low(0, 0), 0.732507128136839, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.9382798272559849, 1e-9);
    EXPECT_NEAR(value_of("pwcca", y, x, {{"variance", 1.0}}), 0.8718955973938505, 1e-12);
    EXPECT_NEAR(value_of("pwcca", x, y, {{"variance", 0.8}}), 0.8162595755612179, 1e-12);
    EXPECT_NEAR(value_of("pwcca", y, x, {{"variance", 0.8}}), 0.8190642705137325, 1e-12);
    const FeatureMatrix wide = golden_features(7, 20, 40);  // n < p
    EXPECT_NEAR(value_of("pwcca", wide, golden_related(wide, 8, 30), {{"variance", 0.5}}), 0.5937252399971726, 1e-12);
}

TEST(Pwcca, HandCase) {
    // x has orthogonal features of norms 3 and 1 (times sqrt 8), y holds the first of them exactly and something
    // orthogonal to both: correlations 1 and 0 with weights 3 : 1. From y both features weigh the same.
    FeatureMatrix x(8, 2);
    FeatureMatrix y(8, 2);
    x << 3, 1, 3, 1, 3, -1, 3, -1, -3, 1, -3, 1, -3, -1, -3, -1;
    y << 1, 1, 1, -1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, -1, -1;
    EXPECT_NEAR(value_of("pwcca", x, y, {{"variance", 1.0}}), 0.75, 1e-13);
    EXPECT_NEAR(value_of("pwcca", y, x, {{"variance", 1.0}}), 0.5, 1e-13);
    EXPECT_NEAR(value_of("cca", x, y), 0.5, 1e-13);
}

}  // namespace
}  // namespace cmsweep
