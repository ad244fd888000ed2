#include <gtest/gtest.h>

#include <Eigen/Dense>
#include <random>

#include "cmsweep/base/error.hpp"
#include "statistics_case.hpp"

namespace cmsweep {
namespace {

using RowMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

std::vector<float> flat(const RowMatrix& matrix) { return {matrix.data(), matrix.data() + matrix.size()}; }

RowMatrix random_matrix(Eigen::Index rows, Eigen::Index columns, unsigned seed) {
    std::mt19937_64 engine(seed);
    std::normal_distribution<float> normal;
    RowMatrix matrix(rows, columns);
    for (Eigen::Index i = 0; i < matrix.size(); ++i) matrix.data()[i] = normal(engine);
    return matrix;
}

TEST(RegMean, UndampedIsTheLeastSquaresFitToTheMembersOutputs) {
    const Eigen::Index inputs = 5, outputs = 3, samples = 40;
    const RowMatrix x[] = {random_matrix(samples, inputs, 1), random_matrix(samples, inputs, 2)};
    const RowMatrix w[] = {random_matrix(inputs, outputs, 3), random_matrix(inputs, outputs, 4)};
    Eigen::MatrixXd stacked(2 * samples, inputs), wanted(2 * samples, outputs);
    std::vector<std::vector<std::vector<float>>> grams;
    for (int i = 0; i < 2; ++i) {
        stacked.middleRows(i * samples, samples) = x[i].cast<double>();
        wanted.middleRows(i * samples, samples) = (x[i] * w[i]).cast<double>();
        grams.push_back({flat(x[i].transpose() * x[i] / static_cast<float>(samples))});
    }
    const Eigen::MatrixXd best = stacked.colPivHouseholderQr().solve(wanted);
    for (const bool conv1d : {true, false}) {
        const auto stored = [&](const RowMatrix& weight) { return conv1d ? flat(weight) : flat(weight.transpose()); };
        MergeCase given;
        given.tensors = {{conv1d ? "h.0.mlp.c_fc.weight" : "lm_head.weight",
                          conv1d ? std::vector<std::int64_t>{inputs, outputs} : std::vector<std::int64_t>{outputs, inputs}, conv1d}};
        given.base = {stored(w[0])};
        given.members = {{stored(w[0])}, {stored(w[1])}};
        const auto merged = merge_with(given, "regmean", {{"off_diagonal", 1.0}}, grams)[0];
        for (Eigen::Index i = 0; i < inputs; ++i)
            for (Eigen::Index o = 0; o < outputs; ++o)  // float32 Gram matrices of condition about 10
                EXPECT_NEAR(merged[static_cast<std::size_t>(conv1d ? i * outputs + o : o * inputs + i)], best(i, o), 1e-5);
    }
}

TEST(RegMean, WithoutOffDiagonalsEveryInputIsAWeightedMean) {
    MergeCase given;
    given.tensors = {{"h.0.mlp.c_fc.weight", {2, 2}, true}, {"h.0.mlp.c_fc.bias", {2}, false}};
    given.base = {{0, 0, 0, 0}, {0, 0}};
    given.members = {{{1, 2, 3, 4}, {1, 2}}, {{5, 6, 7, 8}, {3, 5}}};
    const auto merged = merge_with(given, "regmean", {{"off_diagonal", 0.0}}, {{{1, 9, 9, 3}, {}}, {{3, -9, -9, 1}, {}}});
    EXPECT_EQ(merged[0], (std::vector<float>{4, 5, 4, 5}));
    EXPECT_EQ(merged[1], (std::vector<float>{2, 3.5}));  // a bias is averaged
    // By hand at 0.5: G = {{1, 0.5}, {0.5, 1}} + {{1, 0}, {0, 1}}; G W = {{4.5 ...}} for W columns {1, 3}, {5, 7}: {2.5 + 5, 3.5 + 7}
    const auto damped = merge_with(given, "regmean", {{"off_diagonal", 0.5}}, {{{1, 1, 1, 1}, {}}, {{1, 0, 0, 1}, {}}});
    EXPECT_NEAR(damped[0][0], (2 * 7.5 - 0.5 * 10.5) / 3.75, 1e-5);
    EXPECT_NEAR(damped[0][2], (2 * 10.5 - 0.5 * 7.5) / 3.75, 1e-5);
}

TEST(RegMean, EqualMembersComeBack) {
    auto given = MergeCase::random(1);
    given.members.push_back(given.members[0]);
    const RowMatrix x = random_matrix(30, 8, 1), y = random_matrix(30, 8, 2);
    const std::vector<std::vector<float>> first{flat(x.transpose() * x), {}, flat(x.transpose() * x), {}},
        second{flat(y.transpose() * y), {}, flat(y.transpose() * y), {}};
    const auto merged = merge_with(given, "regmean", {}, {first, second});
    for (std::size_t t = 0; t < merged.size(); ++t)
        for (std::size_t e = 0; e < merged[t].size(); ++e) EXPECT_NEAR(merged[t][e], given.members[0][t][e], 1e-5);
}

TEST(RegMean, ASingularGramMatrixIsANumericError) {
    MergeCase given;
    given.tensors = {{"h.0.mlp.c_fc.weight", {2, 1}, true}};
    given.base = {{0, 0}};
    given.members = {{{1, 2}}, {{3, 4}}};
    const std::vector<std::vector<std::vector<float>>> singular{{{1, 1, 1, 1}}, {{2, 2, 2, 2}}};
    EXPECT_THROW(merge_with(given, "regmean", {{"off_diagonal", 1.0}}, singular), NumericError);
    EXPECT_NO_THROW(merge_with(given, "regmean", {{"off_diagonal", 0.9}}, singular));
    EXPECT_THROW(merge_with(given, "regmean", {}, {{{1, 0, 0, 0}}, {{2, 0, 0, 0}}}), NumericError);  // an input that is never there
}

}  // namespace
}  // namespace cmsweep
