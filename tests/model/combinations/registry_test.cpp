#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "combination_case.hpp"

namespace cmsweep {
namespace {

class Combine : public CombinationCase {};

TEST_F(Combine, EveryMethodHasABuilder) {
    for (const auto& method : merge_methods()) {
        nlohmann::json quick = nlohmann::json::object();
        for (const auto& parameter : method.parameters)
            if (parameter.name == "steps" || parameter.name == "windows") quick[parameter.name] = 4;
        EXPECT_NE(combined(method.name, quick).predictor, nullptr) << method.name;
    }
}

TEST_F(Combine, ReferenceRowsAreTheModelsThemselves) {
    EXPECT_TRUE(same_bits(losses(combined("specialist")), losses(members[0])));
    EXPECT_TRUE(same_bits(losses(combined("base")), losses(base)));
}

TEST_F(Combine, ScoresDoNotDependOnWhatElseSharesTheBatch) {
    const std::vector<Combination> all{combined("average", {}, {2, 2, false}),
                                       combined("average"),
                                       combined("interpolate_features", {{"alpha", 0.25}}, {2, 3, false}),
                                       combined("interpolate_features", {{"site", "block"}}),
                                       combined("route", {{"steps", 0}}, {1, 1, false}),
                                       combined("route", {{"steps", 0}, {"span", 2}, {"top_k", 1}}),
                                       combined("ensemble_probabilities"),
                                       combined("ensemble_logits"),
                                       combined("route_tokens", {{"steps", 0}}),
                                       combined("select_model"),
                                       combined("base"),
                                       combined("specialist")};
    const at::NoGradGuard no_grad;
    Batch together(windows), backwards(windows);
    std::vector<at::Tensor> first, second;
    for (const auto& one : all) first.push_back(one.predictor->score(together).loss);
    for (auto one = all.rbegin(); one != all.rend(); ++one) second.push_back(one->predictor->score(backwards).loss);
    for (std::size_t i = 0; i < all.size(); ++i) {
        EXPECT_TRUE(same_bits(first[i], losses(all[i]))) << i;
        EXPECT_TRUE(same_bits(second[all.size() - 1 - i], losses(all[i]))) << i;
    }
}

TEST_F(Combine, BlocksOutsideTheStackAreAnInputError) {
    EXPECT_THROW(combined("route", {{"steps", 0}}, {2, 4, false}), InputError);
    EXPECT_THROW(combined("average", {}, {-1, 2, false}), InputError);
    EXPECT_THROW(combined("average", {}, {3, 2, false}), InputError);
}

TEST_F(Combine, ModelsOfAnotherShapeAreAnInputErrorThatNamesTheMember) {
    auto other = geometry();
    other.inner = 24;
    members[1] = std::make_shared<Parameters>(lively_parameters(other, 1));
    try {
        combined("average");
        FAIL() << "no error";
    } catch (const InputError& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("member 1"));
    }
}

}  // namespace
}  // namespace cmsweep
