#include "core/merge/assignment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

/// The largest sum over all permutations, one after the other.
double best_by_trying_all(const Eigen::MatrixXd& gain) {
    std::vector<std::size_t> column(static_cast<std::size_t>(gain.rows()));
    std::iota(column.begin(), column.end(), std::size_t{0});
    double best = -std::numeric_limits<double>::infinity();
    do best = std::max(best, assignment_value(gain, column));
    while (std::next_permutation(column.begin(), column.end()));
    return best;
}

bool is_permutation_of_all(std::vector<std::size_t> column) {
    std::sort(column.begin(), column.end());
    for (std::size_t i = 0; i < column.size(); ++i)
        if (column[i] != i) return false;
    return true;
}

std::vector<std::size_t> best_assignment(const Eigen::MatrixXd& gain) {
    return cmsweep::best_assignment(gain, [] {});
}

TEST(Assignment, MayEndBeforeEachRow) {
    int rows = 0;
    const auto stop_before_the_third = [&] {
        if (++rows == 3) throw std::runtime_error("the run ends here");
    };
    EXPECT_THROW(cmsweep::best_assignment(Eigen::MatrixXd::Identity(4, 4), stop_before_the_third), std::runtime_error);
}

TEST(Assignment, IsTheBestOfAllByHand) {
    Eigen::MatrixXd gain(3, 3);
    gain << 7, 5, 1, 6, 4, 3, 9, 8, 2;  // 7 + 3 + 8 = 18; the greedy choice 9 + 5 + 3 = 17, the diagonal 13
    EXPECT_EQ(best_assignment(gain), (std::vector<std::size_t>{0, 2, 1}));
    gain << 10, 9, 0, 9, 1, 0, 0, 0, 1;  // the greedy 10 + 1 + 1 = 12 loses to 9 + 9 + 1
    EXPECT_EQ(best_assignment(gain), (std::vector<std::size_t>{1, 0, 2}));
}

TEST(Assignment, EqualsTryingAllPermutations) {
    std::mt19937_64 engine(1);
    std::normal_distribution<double> normal;
    for (int n = 1; n <= 7; ++n) {
        for (int repeat = 0; repeat < 40; ++repeat) {
            Eigen::MatrixXd gain(n, n);
            for (auto& value : gain.reshaped()) value = repeat % 2 == 0 ? normal(engine) : std::round(2 * normal(engine));  // ties too
            const auto column = best_assignment(gain);
            ASSERT_TRUE(is_permutation_of_all(column));
            ASSERT_NEAR(assignment_value(gain, column), best_by_trying_all(gain), 1e-12) << gain;
        }
    }
}

TEST(Assignment, FindsAPlantedPermutation) {
    std::mt19937_64 engine(2);
    std::normal_distribution<double> normal;
    const Eigen::Index n = 300;
    std::vector<std::size_t> planted(static_cast<std::size_t>(n));
    std::iota(planted.begin(), planted.end(), std::size_t{0});
    std::shuffle(planted.begin(), planted.end(), engine);
    Eigen::MatrixXd gain(n, n);
    for (auto& value : gain.reshaped()) value = normal(engine);
    for (Eigen::Index row = 0; row < n; ++row) gain(row, static_cast<Eigen::Index>(planted[static_cast<std::size_t>(row)])) += 100;
    EXPECT_EQ(best_assignment(gain), planted);
}

TEST(Assignment, StaysWhereNothingIsGained) {
    const std::vector<std::size_t> own{0, 1, 2, 3};
    EXPECT_EQ(best_assignment(Eigen::MatrixXd::Zero(4, 4)), own);
    EXPECT_EQ(best_assignment(Eigen::MatrixXd::Constant(4, 4, 0.1)), own);
    EXPECT_TRUE(best_assignment(Eigen::MatrixXd(0, 0)).empty());
}

TEST(Assignment, RefusesWhatIsNotFinite) {
    Eigen::MatrixXd gain = Eigen::MatrixXd::Zero(2, 2);
    gain(0, 1) = std::nan("");
    EXPECT_THROW(best_assignment(gain), NumericError);
    EXPECT_THROW(best_assignment(Eigen::MatrixXd::Zero(2, 3)), std::invalid_argument);
}

}  // namespace
}  // namespace cmsweep
