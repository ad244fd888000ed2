#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

/// The registry's claims, each tried on every parameter-space method at its defaults. Methods compute in float or
/// double on values near 1; 1e-5 leaves room for a few roundings and is far below the members' differences (0.05).
class ParameterMethod : public testing::TestWithParam<std::string> {
protected:
    const MethodInfo& method() const { return *find_method(GetParam()); }
    std::size_t members() const { return static_cast<std::size_t>(std::min(3, method().most_members)); }
};
constexpr double kTolerance = 1e-5;

TEST_P(ParameterMethod, ReturnsEqualMembersIfItSaysSo) {
    if (!claims(method(), "equal_members")) return;
    auto copies = MergeCase::random(members());
    for (auto& member : copies.members) member = copies.members[0];
    EXPECT_LE(distance(copies.merge(GetParam()), copies.members[0]), kTolerance);
}

TEST_P(ParameterMethod, ReturnsAMemberOfWeightOneIfItSaysSo) {
    if (!claims(method(), "parents")) return;
    const auto pair = MergeCase::random(2);
    const bool has_alpha = method().parameters.front().name == "alpha";
    const auto only = [&](std::size_t i) {
        return has_alpha ? nlohmann::json{{"alpha", i == 0 ? 1.0 : 0.0}}
                         : nlohmann::json{{"weights", {i == 0 ? 1 : 0, i == 1 ? 1 : 0}}};
    };
    for (const std::size_t i : {0, 1}) EXPECT_EQ(pair.merge(GetParam(), only(i)), pair.members[i]) << "member " << i;
}

TEST_P(ParameterMethod, IgnoresTheOrderOfMembersIfItSaysSo) {
    const auto forward = MergeCase::random(members());
    auto backward = forward;
    std::reverse(backward.members.begin(), backward.members.end());
    const double difference = distance(forward.merge(GetParam()), backward.merge(GetParam()));
    if (claims(method(), "symmetric"))
        EXPECT_LE(difference, kTolerance);
    else
        EXPECT_GT(difference, kTolerance) << "symmetric, but the registry does not say so";
}

TEST_P(ParameterMethod, ReturnsTheBaseIfNothingChangedAndItSaysSo) {
    if (!claims(method(), "base")) return;
    auto unchanged = MergeCase::random(members());
    for (auto& member : unchanged.members) member = unchanged.base;
    EXPECT_EQ(unchanged.merge(GetParam()), unchanged.base);
}

TEST_P(ParameterMethod, GivesTheSameBitsTwice) {
    const auto input = MergeCase::random(members());
    EXPECT_EQ(input.merge(GetParam()), input.merge(GetParam()));
}

std::vector<std::string> parameter_methods() {
    std::vector<std::string> names;
    for (const auto& method : merge_methods()) {
        // What learns from text does not merge through this interface.
        if (method.family == Family::parameter && !method.needs_text) names.push_back(method.name);
    }
    return names;
}
INSTANTIATE_TEST_SUITE_P(MergeRegistry, ParameterMethod, testing::ValuesIn(parameter_methods()),
                         [](const auto& method) { return method.param; });

}  // namespace
}  // namespace cmsweep
