#include "cmsweep/core/setting.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace cmsweep {
namespace {

ParameterSpec density() {
    ParameterSpec spec;
    spec.name = "density";
    spec.low_open = true;
    spec.default_value = 0.2;
    return spec;
}

TEST(ParameterSpec, SaysItsRangeAndRefusesWhatIsOutside) {
    EXPECT_EQ(density().range(), "a number in (0, 1]");
    EXPECT_FALSE(density().problem(1));
    EXPECT_TRUE(density().problem(0));
    EXPECT_TRUE(density().problem(1.4));
    EXPECT_TRUE(density().problem("all"));
    EXPECT_TRUE(density().problem(std::numeric_limits<double>::quiet_NaN()));
}

TEST(ParameterSpec, IntegersMayHaveWordsBesides) {
    ParameterSpec spec;
    spec.name = "top_k";
    spec.kind = ParameterSpec::Kind::integer;
    spec.low = 1;
    spec.high = std::numeric_limits<double>::infinity();
    spec.words = {"all"};
    EXPECT_EQ(spec.range(), "an integer >= 1 or \"all\"");
    EXPECT_FALSE(spec.problem("all"));
    EXPECT_FALSE(spec.problem(3));
    EXPECT_TRUE(spec.problem(2.5));
    EXPECT_TRUE(spec.problem("some"));
}

TEST(CompleteSetting, FillsDefaultsAndMakesEqualSettingsEqual) {
    const std::vector<ParameterSpec> specs{density()};
    EXPECT_EQ(complete_setting(specs, {{"density", 1}}), complete_setting(specs, {{"density", 1.0}}));
    EXPECT_EQ(complete_setting(specs, nlohmann::json::object()).at("density"), 0.2);
}

TEST(NearestName, SuggestsOnlyWhatIsClose) {
    const std::vector<std::string> known{"learning_rate", "steps", "batch"};
    EXPECT_EQ(nearest_name("learning_rat", known), "learning_rate");
    EXPECT_EQ(nearest_name("step", known), "steps");
    EXPECT_FALSE(nearest_name("colour", known));
}

}  // namespace
}  // namespace cmsweep
