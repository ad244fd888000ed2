#include "combination_case.hpp"

namespace cmsweep {
namespace {

class SelectModel : public CombinationCase {};

TEST_F(SelectModel, PredictsTheFirstQuarterTogetherAndTheRestByTheBetterMember) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all"), specialist(*base, 23, "all")};
    windows = random_ids(12, kContext + 1, 20, 6);
    const auto found = losses(combined("select_model"));
    const auto mixture = losses(combined("ensemble_probabilities"));
    std::vector<at::Tensor> own;
    for (const auto& member : members) own.push_back(losses(member));
    EXPECT_TRUE(near(found.narrow(1, 0, 2), mixture.narrow(1, 0, 2)));
    std::set<std::size_t> chosen;
    for (std::int64_t w = 0; w < 12; ++w) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < 3; ++i)
            if (own[i][w].narrow(0, 0, 2).sum().item<double>() < own[best][w].narrow(0, 0, 2).sum().item<double>()) best = i;
        chosen.insert(best);
        EXPECT_TRUE(same_bits(found[w].narrow(0, 2, 6), own[best][w].narrow(0, 2, 6))) << w;
    }
    EXPECT_EQ(chosen.size(), 3u);
}

TEST_F(SelectModel, ATieGoesToTheFirstMember) {
    // Windows of 3 tokens have no first quarter: nothing tells the members apart.
    windows = random_ids(5, 4, 20, 6);
    EXPECT_TRUE(same_bits(losses(combined("select_model")), losses(members[0])));
}

TEST_F(SelectModel, EqualMembersPredictAsOneAndOrderDoesNotMatter) {
    const auto forward_order = losses(combined("select_model"));
    std::swap(members[0], members[1]);
    EXPECT_TRUE(near(losses(combined("select_model")), forward_order));
    members = {base, base};
    EXPECT_TRUE(near(losses(combined("select_model")), losses(base)));
}

TEST_F(SelectModel, CostIsTheMeanOverAWindow) {
    members.push_back(specialist(*base, 13));
    const auto cost = combined("select_model").predictor->cost(kContext);
    const double one = 4 * (1152 + 216 + 2304) + 480;
    EXPECT_DOUBLE_EQ(cost.flops_per_token, one * (3 * 8 / 4.0 + 3 * 8 / 4.0) / 8);
    EXPECT_EQ(cost.stored, 240 + 192 + 4 * (48 + 624) + 24 + 12 * 1212);
    EXPECT_EQ(cost.active, 240 + 12 + 4 * (48 + 624 + 1212) + 24 + 8 * 1212 / 4);
    EXPECT_EQ(cost.trained, 0);
}

}  // namespace
}  // namespace cmsweep
