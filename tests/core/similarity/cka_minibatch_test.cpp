#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(CkaMinibatch, OneBatchIsTheDebiasedForm) {
    const FeatureMatrix x = golden_features(1, 30, 6);
    const FeatureMatrix y = golden_related(x, 2, 9);
    const ProbeLayout layout = layout_of(30, 1, 5);
    const ComparisonResult batch = compare_two("cka_minibatch", x, y, layout, {20, true});
    const ComparisonResult whole = compare_two("cka_debiased", x, y, layout, {20, true});
    EXPECT_NEAR(batch.value(0, 0), whole.value(0, 0), 1e-14);
    EXPECT_NEAR(batch.null_p95(0, 0), whole.null_p95(0, 0), 1e-14);
    EXPECT_NEAR(batch.low(0, 0), whole.low(0, 0), 1e-13);
}

TEST(CkaMinibatch, AgreesWithNumPyOverBatches) {
    // Two batches of 11; rows 22 and 23 take no part.
    const FeatureMatrix x = golden_features(1, 24, 6);
    FeatureMatrix y = golden_related(x, 2, 9);
    const ComparisonResult result = compare_two("cka_minibatch", x, y, layout_of(24, 1, 5), {20, true}, {{"batch", 11}});
    EXPECT_NEAR(result.value(0, 0), 0.6001309359216099, 1e-13);
    EXPECT_NEAR(result.low(0, 0), -0.022268097446050548, 1e-9);
    EXPECT_NEAR(result.high(0, 0), 0.887276349449267, 1e-9);
    EXPECT_EQ(result.null_mean(0, 0), 0);
    y.row(23) *= 5;
    EXPECT_NEAR(value_of("cka_minibatch", x, y, {{"batch", 11}}), 0.6001309359216099, 1e-13);
}

TEST(CkaMinibatch, OneBatchAndRowsLeftOverIsTheDebiasedFormOfTheBatch) {
    FeatureMatrix x = golden_features(1, 60, 6);
    FeatureMatrix y = golden_related(x, 2, 9);
    x.bottomRows(15).array() += 5;  // they must not move the centre either
    y.bottomRows(15).array() -= 3;
    const ComparisonResult batch = compare_two("cka_minibatch", x, y, layout_of(60, 1, 4), {0, true}, {{"batch", 45}});
    const ComparisonResult whole = compare_two("cka_debiased", x.topRows(45), y.topRows(45), layout_of(45, 1, 4), {0, true});
    EXPECT_NEAR(batch.value(0, 0), whole.value(0, 0), 1e-13);
}

TEST(CkaMinibatch, HasNoBiasFromSmallBatches) {
    // The population's CKA is r^2 = 0.36; the biased form over batches of 16 would be far above.
    Stream stream(7, "minibatch");
    double mean = 0;
    for (int i = 0; i < 20; ++i) {
        const FeatureMatrix x = gaussian(stream, 160, 30);
        const FeatureMatrix y = 0.6F * x + 0.8F * gaussian(stream, 160, 30);
        mean += value_of("cka_minibatch", x, y, {{"batch", 16}}) / 20;
    }
    EXPECT_NEAR(mean, 0.36, 0.04);  // standard deviation of the mean about 0.01
}

TEST(CkaMinibatch, StreamsWhatItDoesNotKeep) {
    // 2,200 rows in batches of 550 are beyond what is kept; the value must join smoothly.
    Stream stream(8, "streamed batches");
    const FeatureMatrix x = gaussian(stream, 2200, 4);
    const FeatureMatrix y = 0.6F * x + 0.8F * gaussian(stream, 2200, 4);
    EXPECT_NEAR(value_of("cka_minibatch", x, y, {{"batch", 550}}), value_of("cka_minibatch", x, y, {{"batch", 440}}), 0.01);
    EXPECT_NEAR(value_of("cka_minibatch", x, y, {{"batch", 2200}}), value_of("cka_debiased", x, y), 1e-12);
}

TEST(CkaMinibatch, NeedsFourRowsABatch) {
    EXPECT_TRUE(find_metric("cka_minibatch")->parameters.at(0).problem(3));
    EXPECT_THROW(value_of("cka_minibatch", golden_features(1, 3, 2), golden_features(1, 3, 2)), NumericError);
}

}  // namespace
}  // namespace cmsweep
