#include "core/similarity/rows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "cmsweep/base/error.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

TEST(RowOrder, MakesEachGroupOneRun) {
    ProbeLayout layout = layout_of(4, 2);
    layout.group = {7, 3, 7, 3};  // any labels
    const RowOrder order(layout);
    EXPECT_EQ(order.source, (std::vector<Index>{2, 3, 6, 7, 0, 1, 4, 5}));
    EXPECT_EQ(order.group, (std::vector<int>{0, 0, 0, 0, 1, 1, 1, 1}));
    EXPECT_EQ(order.group_rows, (std::vector<Index>{4, 4}));
    ASSERT_EQ(order.batches.size(), 1u);
    EXPECT_EQ(order.packed, 4 * 8 + 4 * 4);  // two segments: a strip of 4 x 8 numbers, one of 4 x 4
}

TEST(RowOrder, CutsLongRunsIntoEvenSegments) {
    const RowOrder order(layout_of(75));
    const auto& segments = order.batches.at(0).segments;
    ASSERT_EQ(segments.size(), 3u);
    for (const auto& segment : segments) EXPECT_EQ(segment.count, 25);
    EXPECT_EQ(segments[1].packed, 25 * 75);
    EXPECT_EQ(segments[2].packed, 25 * 75 + 25 * 50);
    EXPECT_EQ(order.packed, 25 * (75 + 50 + 25));
}

TEST(RowOrder, BatchesAreConsecutiveRowsWithoutTheRemainder) {
    const RowOrder order(layout_of(7, 1, 2), 3);
    ASSERT_EQ(order.batches.size(), 2u);
    EXPECT_EQ(order.source, (std::vector<Index>{0, 2, 1, 4, 3, 5}));
    EXPECT_EQ(order.batches[1].runs.size(), 2u);
    EXPECT_EQ(RowOrder(layout_of(7), 100).batches.size(), 1u);
    EXPECT_EQ(RowOrder(layout_of(7), 100).rows(), 7);
}

TEST(RowOrder, RefusesALayoutThatContradictsItself) {
    ProbeLayout layout = layout_of(4);
    layout.group = {0, 1};
    EXPECT_THROW(RowOrder{layout}, std::invalid_argument);
    EXPECT_THROW(RowOrder{layout_of(0)}, std::invalid_argument);
}

TEST(WindowPermutations, MoveWholeWindowsAndComeFromTheProbeAlone) {
    const ProbeLayout layout = layout_of(5, 3);
    const auto permutations = window_permutations(layout, 4);
    EXPECT_EQ(window_permutations(layout, 2)[1], permutations[1]);  // the first of many are the same
    EXPECT_NE(window_permutations(layout_of(5, 3, 0, "another"), 4), permutations);
    auto rows = permuted_rows(layout, permutations[0]);
    for (std::size_t row = 0; row < rows.size(); ++row) EXPECT_EQ(rows[row] % 3, static_cast<Index>(row) % 3);
    std::sort(rows.begin(), rows.end());
    for (std::size_t row = 0; row < rows.size(); ++row) EXPECT_EQ(rows[row], static_cast<Index>(row));
}

TEST(Features, AreCheckedForWhatNoMetricCanUse) {
    FeatureMatrix x = golden_features(1, 4, 2);
    EXPECT_THROW(check_features(x, layout_of(5), {}), std::invalid_argument);
    x(2, 1) = std::numeric_limits<float>::infinity();
    EXPECT_THROW(check_features(x, layout_of(4), {}), NumericError);
    EXPECT_THROW(check_features(FeatureMatrix(4, 0), layout_of(4), {}), NumericError);
}

TEST(Centring, MakesConstantColumnsExactlyZero) {
    FeatureMatrix x(3, 2);
    x << 0.1F, 1, 0.1F, 2, 0.1F, 6;
    const ColumnCentre centre = column_centre(x, {});
    double row[2];
    centred_row(x, centre, 2, row);
    EXPECT_EQ(row[0], 0);
    EXPECT_EQ(row[1], 3);
}

}  // namespace
}  // namespace cmsweep
