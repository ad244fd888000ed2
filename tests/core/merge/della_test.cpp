#include "core/merge/della.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

using testing::ElementsAre;

/// The same given draws for every member.
class FixedDraws final : public Draws {
public:
    explicit FixedDraws(const std::vector<double>& uniforms) : uniforms_(uniforms) {}
    void next(std::span<std::uint32_t> out) override {
        for (auto& draw : out) draw = static_cast<std::uint32_t>(uniforms_.at(at_++) * 4294967296.0);
    }

private:
    const std::vector<double>& uniforms_;
    std::size_t at_ = 0;
};

const std::vector<double> kUniforms{0.1, 0.9, 0.4, 0.6, 0.95, 0.2, 0.5, 0.3, 0.7, 0.05, 0.8, 0.35};

std::vector<float> della_with(const MergeCase& merge_case, const std::vector<double>& uniforms,
                              const nlohmann::json& given) {
    std::vector<float> out(merge_case.base[0].size());
    const std::vector<std::span<float>> spans{out};
    della(
        merge_case.input("della", given),
        [&](std::size_t, std::size_t) { return std::make_unique<FixedDraws>(uniforms); }, spans);
    return out;
}

TEST(Della, DropsSmallEntriesOfARowMoreOftenByHand) {
    // Two entries, density 0.5, epsilon 0.4: the larger is dropped with 0.5 - 0.2 = 0.3, the smaller with 0.3 + 0.4 / 2
    // = 0.5.
    const auto one = MergeCase::single({0, 0}, {{7, -1}});
    const nlohmann::json given{{"density", 0.5}, {"epsilon", 0.4}};
    EXPECT_THAT(della_with(one, {0.69, 0.49}, given), near({10, -2}, 1e-5));
    EXPECT_THAT(della_with(one, {0.71, 0.51}, given), ElementsAre(0, 0));
}

TEST(Della, EqualsTheReferencesUnderGivenDraws) {
    const auto golden = MergeCase::golden();
    EXPECT_THAT(della_with(golden, kUniforms, {{"density", 0.5}, {"epsilon", 0.2}}),
                near({0.627272727f, -0.25f, 0.5f, 1.0f, -1.5f, -0.020454545f, 0.225f, -0.490824916f, 0.25f,
                      0.738333333f, -0.5f, 0.085454545f}));
    EXPECT_THAT(della_with(golden, kUniforms, {{"density", 0.5}, {"epsilon", 0.15}, {"reference", "mergekit"}}),
                near({0.602898936f, -0.25f, 0.504255319f, 1.16125f, -1.5f, -0.00606383f, 0.2540625f, -0.457174984f,
                      0.25f, 0.731829044f, -0.5f, 0.103835784f}));
}

TEST(Della, RanksRowsOfTheUntransposedWeight) {
    auto golden = MergeCase::golden();
    const auto turned = transpose(kUniforms, 3, 4);
    for (const auto* reference : {"paper", "mergekit"}) {
        const nlohmann::json given{{"density", 0.5}, {"epsilon", 0.15}, {"reference", reference}};
        const auto expected = transpose(della_with(golden, kUniforms, given), 3, 4);
        auto stored = golden;
        stored.tensors[0] = {"w", {4, 3}, true};
        stored.base[0] = transpose(golden.base[0], 3, 4);
        for (std::size_t i = 0; i < 3; ++i) stored.members[i][0] = transpose(golden.members[i][0], 3, 4);
        EXPECT_THAT(della_with(stored, turned, given), near(expected));
    }
}

TEST(Della, OfDensityOneDropsNothing) {
    const auto one = MergeCase::single({1, 2}, {{3, 5}});
    EXPECT_THAT(one.merge("della", {{"density", 1}})[0], ElementsAre(3, 5));
}

TEST(Della, KeepsTheExpectedShareOverRowsLongerThanABlock) {
    const std::size_t n = 60'000;
    std::vector<float> tau(n);
    for (std::size_t i = 0; i < n; ++i) tau[i] = static_cast<float>(i % 3000 + 1);
    auto one = MergeCase::single(std::vector<float>(n), {tau});
    one.tensors[0].shape = {20, 3000};
    const auto merged = one.merge("della", {{"density", 0.4}, {"epsilon", 0.4}})[0];
    std::size_t large = 0, small = 0;
    for (std::size_t i = 0; i < n; ++i) (i % 3000 >= 1500 ? large : small) += merged[i] != 0;
    EXPECT_NEAR(static_cast<double>(large) / 30'000, 0.5,
                0.015);  // means of the halves: 0.4 +- 0.1; 5 standard deviations
    EXPECT_NEAR(static_cast<double>(small) / 30'000, 0.3, 0.015);
}

}  // namespace
}  // namespace cmsweep
