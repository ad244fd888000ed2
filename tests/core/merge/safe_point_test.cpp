// A run can commit or stop inside every merge in parameter space, before each tensor and each decomposition.
#include <stdexcept>

#include "merge_case.hpp"

namespace cmsweep {
namespace {

struct Stop : std::runtime_error {
    using std::runtime_error::runtime_error;
};

class SafePoints : public testing::TestWithParam<std::string> {
protected:
    MergeCase given_ = MergeCase::random(static_cast<std::size_t>(std::min(3, find_method(GetParam())->most_members)));

    void merge(const std::function<void()>& safe_point) {
        auto input = given_.input(GetParam());
        // What learns from text is handed something of the right size; its values do not matter here.
        for (const auto& member : given_.members) {
            if (GetParam() == "fisher") input.statistics.push_back(MergeCase::view(member));
            if (GetParam() == "learned_average") input.statistics.emplace_back(given_.tensors.size(), std::span(kCoefficient));
            if (GetParam() == "regmean") input.statistics.emplace_back(given_.tensors.size());
        }
        input.safe_point = safe_point;
        std::vector<std::vector<float>> out;
        for (const auto& values : given_.base) out.emplace_back(values.size());
        const std::vector<std::span<float>> spans(out.begin(), out.end());
        nlohmann::json notes = nlohmann::json::object();
        find_method(GetParam())->merge(input, spans, notes);
    }

    static constexpr float kCoefficient[] = {0.5f};
};

TEST_P(SafePoints, LieBeforeEveryTensor) {
    std::size_t count = 0;
    merge([&] { ++count; });
    EXPECT_GE(count, given_.tensors.size());
}

TEST_P(SafePoints, MayEndTheMerge) {
    std::size_t count = 0;
    EXPECT_THROW(merge([&] {
                     if (++count == given_.tensors.size()) throw Stop("the run ends here");
                 }),
                 Stop);
}

INSTANTIATE_TEST_SUITE_P(Merge, SafePoints,
                         testing::Values("average", "slerp", "task_arithmetic", "ties", "dare", "breadcrumbs", "della", "magmax",
                                         "model_stock", "karcher", "sce", "nearswap", "expo", "tsv", "iso_c", "fisher", "regmean",
                                         "learned_average", "rebasin"),
                         [](const auto& method) { return method.param; });

TEST(SafePointsOfDecompositions, LieBeforeEachOfThem) {
    // tsv: for each of two matrices, one of every member's and one of the factors; iso_c: one a tensor.
    const auto given = MergeCase::random(3);
    const auto count = [&](const char* method) {
        std::size_t points = 0;
        auto input = given.input(method);
        input.safe_point = [&] { ++points; };
        std::vector<std::vector<float>> out;
        for (const auto& values : given.base) out.emplace_back(values.size());
        const std::vector<std::span<float>> spans(out.begin(), out.end());
        nlohmann::json notes = nlohmann::json::object();
        find_method(method)->merge(input, spans, notes);
        return points;
    };
    EXPECT_EQ(count("tsv"), 2U * (3U + 1U));
    EXPECT_EQ(count("iso_c"), 4U);
}

}  // namespace
}  // namespace cmsweep
