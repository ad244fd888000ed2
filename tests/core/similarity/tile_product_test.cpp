#include "core/similarity/tile_product.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>

#include "cmsweep/base/random.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

using Strip = Eigen::Matrix<double, kStripRows, kStripColumns>;

Strip product(const Panel& a, Index row, const Panel& b, Index column, Index count) {
    Strip sums = Strip::Zero();
    add_tile_product(a.at(0, row), b.at(0, column), count, sums.data());
    return sums;
}

RowMajorMatrix numbers(Index rows, Index columns) {
    Stream stream(3, "tile product");
    return gaussian(stream, rows, columns).cast<double>();
}

Panel interleaved(const RowMajorMatrix& x) {
    Panel panel;
    interleave_rows(x, panel);
    return panel;
}

TEST(TileProduct, EqualsTheSumsTermByTerm) {
    for (const Index count : {1, 7, 64, 65, 300}) {
        const RowMajorMatrix x = numbers(50, count);
        const Panel panel = interleaved(x);
        for (const TileKernel kernel : tile_kernels()) {
            Strip sums = Strip::Zero();
            kernel(panel.at(0, 24), panel.at(0, 8), count, sums.data());
            for (Index i = 0; i < kStripRows; ++i) {
                for (Index j = 0; j < kStripColumns; ++j) {
                    long double sum = 0;
                    double size = 0;
                    for (Index k = 0; k < count; ++k) {
                        sum += static_cast<long double>(x(24 + i, k)) * static_cast<long double>(x(8 + j, k));
                        size += std::abs(x(24 + i, k) * x(8 + j, k));
                    }
                    // A running sum rounds at most twice a term, each time by at most half a unit of the terms' size.
                    EXPECT_NEAR(sums(i, j), static_cast<double>(sum), static_cast<double>(count) * 2.3e-16 * size) << count;
                }
            }
        }
    }
}

TEST(TileProduct, AddsToWhatIsThere) {
    const RowMajorMatrix x = numbers(24, 10);
    const Panel panel = interleaved(x);
    Strip sums = Strip::Constant(1000);
    add_tile_product(panel.at(0, 0), panel.at(0, 16), 10, sums.data());
    EXPECT_NEAR(sums(3, 2), 1000 + x.row(3).dot(x.row(18)), 1e-12);
}

TEST(TileProduct, BitsDoNotDependOnTheColumnsPlacesOrNeighbours) {
    constexpr Index kCount = 333;
    const RowMajorMatrix x = numbers(2, kCount);
    std::uint64_t first = 0;
    for (Index i = 0; i < kStripRows; ++i) {
        for (Index j = 0; j < kStripColumns; ++j) {
            RowMajorMatrix others = numbers(48, kCount) * static_cast<double>(1 + i + j);
            others.row(i) = x.row(0);
            others.row(24 + j) = x.row(1);
            const Panel panel = interleaved(others);
            const std::uint64_t bits = std::bit_cast<std::uint64_t>(product(panel, 0, panel, 24, kCount)(i, j));
            if (i + j == 0) first = bits;
            ASSERT_EQ(bits, first) << i << " " << j;
        }
    }
}

TEST(TileProduct, WhatStandsBehindTheLastColumnReachesNoOther) {
    RowMajorMatrix x = numbers(10, 20);
    Panel panel = interleaved(numbers(24, 20) / 0.0);  // infinities stay in the memory that is used again
    interleave_rows(x, panel);
    const Strip sums = product(panel, 0, panel, 8, 20);
    EXPECT_NEAR(sums(9, 1), x.row(9).squaredNorm(), 1e-12);
}

}  // namespace
}  // namespace cmsweep
