#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cmsweep/core/merge/method.hpp"
#include "merge_case.hpp"

namespace cmsweep {
namespace {

bool claims(const MethodInfo& method, const std::string& identity) {
    return std::find(method.identities.begin(), method.identities.end(), identity) != method.identities.end();
}

/// Largest absolute difference of two merged models.
double distance(const std::vector<std::vector<float>>& a, const std::vector<std::vector<float>>& b) {
    double largest = 0;
    for (std::size_t t = 0; t < a.size(); ++t) {
        for (std::size_t i = 0; i < a[t].size(); ++i)
            largest = std::max(largest, std::abs(double{a[t][i]} - double{b[t][i]}));
    }
    return largest;
}

TEST(MergeRegistry, NamesAreUniqueAndFound) {
    std::set<std::string> names;
    for (const auto& method : merge_methods()) {
        EXPECT_TRUE(names.insert(method.name).second) << method.name;
        EXPECT_EQ(find_method(method.name), &method);
    }
    EXPECT_EQ(find_method("avarage"), nullptr);
    for (const auto* name :
         {"specialist", "base", "average", "interpolate_features", "route", "ensemble_probabilities"}) {
        EXPECT_NE(find_method(name), nullptr) << name;
    }
}

TEST(MergeRegistry, EveryRowIsComplete) {
    const std::set<std::string> known{"equal_members", "parents", "symmetric", "base"};
    for (const auto& method : merge_methods()) {
        EXPECT_FALSE(method.summary.empty()) << method.name;
        EXPECT_FALSE(method.source.empty()) << method.name;
        EXPECT_GE(method.least_members, 1) << method.name;
        EXPECT_LE(method.least_members, method.most_members) << method.name;
        EXPECT_EQ(method.merge != nullptr, method.family == Family::parameter) << method.name;
        for (const auto& identity : method.identities)
            EXPECT_TRUE(known.contains(identity)) << method.name << ": " << identity;
    }
}

TEST(MergeRegistry, DefaultsLieInTheirOwnRange) {
    for (const auto& method : merge_methods()) {
        std::set<std::string> names;
        for (const auto& spec : method.parameters) {
            EXPECT_TRUE(names.insert(spec.name).second) << method.name << '.' << spec.name;
            EXPECT_FALSE(spec.summary.empty()) << method.name << '.' << spec.name;
            EXPECT_LE(spec.low, spec.high) << method.name << '.' << spec.name;
            if (!spec.default_value.is_null()) {
                EXPECT_EQ(spec.problem(spec.default_value), std::nullopt) << method.name << '.' << spec.name;
            }
        }
        EXPECT_EQ(complete_setting(method.parameters, nlohmann::json::object()).size(), method.parameters.size())
            << method.name;
    }
}

/// What the registry claims holds, and what it does not claim does not: each method of parameter space at its defaults, on a
/// case in which nothing holds by chance. Methods compute in float or double on values near 1; 1e-5 leaves room for a few
/// roundings and is far below the members' differences (0.05). Methods that learn from text are tried in the model layer's tests.
class ParameterMethod : public testing::TestWithParam<std::string> {
protected:
    const MethodInfo& method() const { return *find_method(GetParam()); }
    MergeCase members() const { return MergeCase::named_with_units(static_cast<std::size_t>(std::min(3, method().most_members))); }
    bool has(const std::string& parameter) const {
        return std::any_of(method().parameters.begin(), method().parameters.end(), [&](const auto& spec) { return spec.name == parameter; });
    }
};
constexpr double kTolerance = 1e-5;

TEST_P(ParameterMethod, ReturnsEqualMembersExactlyIfItSaysSo) {
    auto copies = members();
    for (auto& member : copies.members) member = copies.members[0];
    const double difference = distance(copies.merge(GetParam()), copies.members[0]);
    if (claims(method(), "equal_members"))
        EXPECT_LE(difference, kTolerance);
    else
        EXPECT_GT(difference, kTolerance) << "equal members come back, but the registry does not say so";
}

TEST_P(ParameterMethod, ReturnsAMemberOfWeightOneExactlyIfItSaysSo) {
    if (!has("alpha") && !has("weights")) {
        EXPECT_FALSE(claims(method(), "parents")) << "no parameter gives one member all weight";
        return;
    }
    const auto pair = MergeCase::named_with_units(2);
    bool all = true;
    for (const std::size_t i : {0, 1}) {
        const nlohmann::json only = has("alpha") ? nlohmann::json{{"alpha", i == 0 ? 1.0 : 0.0}} : nlohmann::json{{"weights", {i == 0 ? 1 : 0, i == 1 ? 1 : 0}}};
        all = all && pair.merge(GetParam(), only) == pair.members[i];
    }
    EXPECT_EQ(all, claims(method(), "parents"));
}

TEST_P(ParameterMethod, IgnoresTheOrderOfMembersExactlyIfItSaysSo) {
    const auto forward = members();
    auto backward = forward;
    std::reverse(backward.members.begin(), backward.members.end());
    std::reverse(backward.member_keys.begin(), backward.member_keys.end());
    const double difference = distance(forward.merge(GetParam()), backward.merge(GetParam()));
    if (claims(method(), "symmetric"))
        EXPECT_LE(difference, kTolerance);
    else
        EXPECT_GT(difference, kTolerance) << "symmetric, but the registry does not say so";
}

TEST_P(ParameterMethod, ReturnsTheBaseIfNothingChangedAndItSaysSo) {
    // What uses the base must say so: any method that returns equal members does too, but without need of the base.
    EXPECT_EQ(claims(method(), "base"), method().needs_base);
    auto unchanged = members();
    for (auto& member : unchanged.members) member = unchanged.base;
    if (claims(method(), "base")) {
        EXPECT_EQ(unchanged.merge(GetParam()), unchanged.base);
    }
}

TEST_P(ParameterMethod, GivesTheSameBitsTwice) {
    const auto input = members();
    EXPECT_EQ(input.merge(GetParam()), input.merge(GetParam()));
}

TEST_P(ParameterMethod, CanBeStoppedBetweenItsParts) {
    // How often: see safe_point_test.cpp.
    const auto given = members();
    auto input = given.input(GetParam());
    struct Stop {};
    input.safe_point = [] { throw Stop{}; };
    std::vector<std::vector<float>> out = given.base;
    const std::vector<std::span<float>> spans(out.begin(), out.end());
    nlohmann::json notes;
    EXPECT_THROW(method().merge(input, spans, notes), Stop);
}

TEST_P(ParameterMethod, TakesAsManyMembersAsItSays) {
    for (const std::size_t count : {1U, 2U, 5U}) {
        if (static_cast<int>(count) < method().least_members || static_cast<int>(count) > method().most_members) continue;
        for (const auto& values : MergeCase::named_with_units(count).merge(GetParam()))
            for (const float value : values) ASSERT_TRUE(std::isfinite(value)) << count << " members";
    }
}

std::vector<std::string> parameter_methods() {
    std::vector<std::string> names;
    for (const auto& method : merge_methods()) {
        if (method.family != Family::parameter) continue;
        if (!method.uses_text(complete_setting(method.parameters, nlohmann::json::object()))) names.push_back(method.name);
    }
    return names;
}
INSTANTIATE_TEST_SUITE_P(MergeRegistry, ParameterMethod, testing::ValuesIn(parameter_methods()),
                         [](const auto& method) { return method.param; });

}  // namespace
}  // namespace cmsweep
