#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

TEST(ModelStock, WeighsTheAverageByTheAngleByHand) {
    // tau = (1, 0) and (1, 1): cos = 1 / sqrt 2, t = 2 cos / (1 + cos) = 0.828427; average (1, 0.5).
    const auto pair = MergeCase::single({10, 20}, {{11, 20}, {11, 21}});
    EXPECT_THAT(pair.merge("model_stock")[0], near({10.828427f, 20.414214f}, 2e-6));
    // orthogonal: nothing in common, the base
    EXPECT_THAT(MergeCase::single({1, 1}, {{2, 1}, {1, 3}}).merge("model_stock")[0], near({1, 1}));
}

TEST(ModelStock, EqualsMergekit) {
    auto golden = MergeCase::golden();
    EXPECT_THAT(golden.merge("model_stock")[0],
                near({0.502821279f, -0.246744679f, 0.747721275f, 1.001302129f, -1.503255321f, 0.124348936f, 0.37348085f,
                      -0.620008507f, 0.250217021f, 0.872721275f, -0.495008507f, 0.001736171f}));
    EXPECT_THAT(golden.merge("model_stock", {{"filter_wise", true}})[0],
                near({0.474483956f, -0.27944159f, 0.770609113f, 0.988223364f, -1.516161787f, 0.121767643f, 0.367457833f,
                      -0.600218594f, 0.251039262f, 0.86408775f, -0.476096976f, 0.008314095f}));
    golden.tensors[0].transposed = true;  // rows of the untransposed weight are columns as stored
    EXPECT_THAT(golden.merge("model_stock", {{"filter_wise", true}})[0],
                near({0.494842089f, -0.294407162f, 0.745387671f, 1.006603303f, -1.494048564f, 0.133881432f,
                      0.371925114f, -0.599687337f, 0.249603238f, 0.906085013f, -0.489896802f, 0.008804405f}));
}

TEST(ModelStock, IsDefinedForTinyTaskVectors) {
    // mergekit clamps the product of norms at 1e-6, which bends the cosine of light fine-tunings.
    const auto pair = MergeCase::single({0, 0}, {{1e-5f, 0}, {1e-5f, 1e-5f}});
    EXPECT_THAT(pair.merge("model_stock")[0], near({0.828427e-5f, 0.414214e-5f}, 1e-11));
}

TEST(ModelStock, FailsWhereItsRatioIsNotDefined) {
    EXPECT_THROW(MergeCase::single({0}, {{1}, {-1}}).merge("model_stock"), NumericError);
}

}  // namespace
}  // namespace cmsweep
