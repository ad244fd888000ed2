#include "core/merge/dare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

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

std::vector<float> dare_with(const MergeCase& merge_case, const std::vector<double>& uniforms,
                             const nlohmann::json& given) {
    std::vector<float> out(merge_case.base[0].size());
    const std::vector<std::span<float>> spans{out};
    dare(
        merge_case.input("dare", given),
        [&](std::size_t, std::size_t) { return std::make_unique<FixedDraws>(uniforms); }, spans);
    return out;
}

const std::vector<double> kUniforms{0.1, 0.6, 0.3, 0.49};

TEST(Dare, DropsAndRescalesByHand) {
    const auto pair =
        MergeCase::single({1, 1, 1, 1}, {{3, 3, 0, 1}, {1, 5, 2, 2}});  // tau: (2, 2, -1, 0), (0, 4, 1, 1)
    // density 1/2 keeps all but the second and doubles it; the mean of both
    EXPECT_THAT(dare_with(pair, kUniforms, {{"density", 0.5}}), ElementsAre(3, 1, 1, 2));
    EXPECT_THAT(dare_with(pair, kUniforms, {{"density", 0.5}, {"weights", {3, 1}}}), ElementsAre(4, 1, 0, 1.5));
    EXPECT_THAT(dare_with(pair, kUniforms, {{"density", 0.5}, {"lambda", 2}}), ElementsAre(5, 1, 1, 3));
    EXPECT_THAT(dare_with(pair, kUniforms, {{"density", 1}}), ElementsAre(2, 4, 1, 1.5));
}

TEST(Dare, MatchesTheL1NormAsMergekitDoes) {
    const auto one = MergeCase::single({0, 0, 0, 0}, {{2, 4, -1, 1}});  // norm 8, of which 4 is kept
    EXPECT_THAT(dare_with(one, kUniforms, {{"density", 0.5}, {"reference", "mergekit"}}), ElementsAre(4, 0, -2, 2));
}

TEST(Dare, RunsTiesInFullOnWhatIsLeft) {
    // Dropped and doubled: (4, 0, -2, 0) and (0, 0, 2, 2); half of each stays: (4, 0, -2, 0), (0, 0, 2, 2); the third
    // cancels.
    const auto pair = MergeCase::single({0, 0, 0, 0}, {{2, 2, -1, 0}, {0, 4, 1, 1}});
    EXPECT_THAT(dare_with(pair, kUniforms, {{"density", 0.5}, {"combine", "ties"}, {"trim", 0.5}}),
                ElementsAre(4, 0, 0, 2));
}

TEST(Dare, KeepsTheExpectedShareAndMean) {
    const std::size_t n = 200'000;
    auto one = MergeCase::single(std::vector<float>(n), {std::vector<float>(n, 1.0f)});
    const auto merged = one.merge("dare", {{"density", 0.2}})[0];
    const double kept =
        static_cast<double>(std::count_if(merged.begin(), merged.end(), [](float v) { return v != 0; })) /
        static_cast<double>(n);
    EXPECT_NEAR(kept, 0.2, 0.004);  // 4.5 standard deviations
    EXPECT_THAT(merged, testing::Each(testing::AnyOf(0.0f, 5.0f)));
}

TEST(Dare, DrawsDependOnSeedMemberAndTensorButNotOnParameters) {
    auto one = MergeCase::single(std::vector<float>(5000), {std::vector<float>(5000, 1.0f)});
    const auto sparse = one.merge("dare", {{"density", 0.2}})[0],
               dense = one.merge("dare", {{"density", 0.6}, {"lambda", 3}})[0];
    for (std::size_t e = 0; e < 5000; ++e) ASSERT_TRUE(sparse[e] == 0 || dense[e] != 0) << e;
    const auto zeros = [](const std::vector<float>& values) {
        std::vector<bool> dropped;
        for (const float value : values) dropped.push_back(value == 0);
        return dropped;
    };
    const auto with = [&](const std::string& member, const std::string& tensor, std::uint64_t seed) {
        auto input = one.input("dare", {{"density", 0.2}});
        input.member_keys = {member};
        input.tensors[0].name = tensor;
        input.seed = seed;
        std::vector<float> out(5000);
        const std::vector<std::span<float>> spans{out};
        nlohmann::json notes;
        find_method("dare")->merge(input, spans, notes);
        return zeros(out);
    };
    const auto first = with("a", "x", 1);
    EXPECT_EQ(first, with("a", "x", 1));
    EXPECT_NE(first, with("b", "x", 1));
    EXPECT_NE(first, with("a", "y", 1));
    EXPECT_NE(first, with("a", "x", 2));
}

}  // namespace
}  // namespace cmsweep
