#include "core/similarity/kernel.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

#include "cmsweep/base/error.hpp"
#include "bounded_memory.hpp"
#include "core/similarity/statistics.hpp"
#include "probe_data.hpp"

namespace cmsweep {
namespace {

PreparedBlocks blocks_of(const std::vector<FeatureMatrix>& features, const ProbeLayout& layout, const KernelRecipe& recipe) {
    PreparedBlocks blocks;
    for (const auto& block : features) blocks.push_back(prepare_kernel(block, layout, recipe, {}));
    return blocks;
}

ComparisonResult compare_with(const KernelRecipe& recipe, const std::vector<FeatureMatrix>& a,
                              const std::vector<FeatureMatrix>& b, const ProbeLayout& layout,
                              const ComparisonOptions& options = {20, true}) {
    return compare_kernel(blocks_of(a, layout, recipe), blocks_of(b, layout, recipe), layout, options, {});
}

KernelRecipe linear(bool unbiased, std::optional<KernelForm> form = {}) {
    KernelRecipe recipe;
    recipe.unbiased = unbiased;
    recipe.form = form;
    return recipe;
}

double largest_difference(const ComparisonResult& a, const ComparisonResult& b) {
    return std::max({(a.value - b.value).cwiseAbs().maxCoeff(), (a.null_mean - b.null_mean).cwiseAbs().maxCoeff(),
                     (a.null_p95 - b.null_p95).cwiseAbs().maxCoeff(), (a.low - b.low).cwiseAbs().maxCoeff(),
                     (a.high - b.high).cwiseAbs().maxCoeff()});
}

FeatureMatrix rows_of(const FeatureMatrix& x, const std::vector<Index>& rows) {
    FeatureMatrix result(static_cast<Index>(rows.size()), x.cols());
    for (std::size_t i = 0; i < rows.size(); ++i) result.row(static_cast<Index>(i)) = x.row(rows[i]);
    return result;
}

TEST(KernelForm, DependsOnRowsAndFeaturesOnly) {
    EXPECT_EQ(kernel_form(1024, 768, {}), KernelForm::gram);
    EXPECT_EQ(kernel_form(1025, 768, {}), KernelForm::streamed);
    EXPECT_EQ(kernel_form(4096, 768, {}), KernelForm::streamed);
    EXPECT_EQ(kernel_form(8 * 768 + 1, 768, {}), KernelForm::features);
    EXPECT_EQ(kernel_form(256, 16, {}), KernelForm::features);
    EXPECT_EQ(kernel_form(16384, 4096, {}), KernelForm::streamed);
    EXPECT_EQ(kernel_form(16385, 4096, {}), KernelForm::features);
    KernelRecipe rbf;
    rbf.function = KernelRecipe::Function::rbf;
    EXPECT_EQ(kernel_form(256, 16, rbf), KernelForm::gram);
    EXPECT_EQ(kernel_form(5000, 16, rbf), KernelForm::streamed);
    KernelRecipe batches;
    batches.batch_rows = 256;
    EXPECT_EQ(kernel_form(256, 16, batches), KernelForm::features);
    EXPECT_EQ(kernel_form(4096, 16, batches), KernelForm::gram);
    EXPECT_EQ(kernel_form(100000, 16, batches), KernelForm::streamed);
}

class KernelFormsAgree : public testing::TestWithParam<std::tuple<bool, int>> {};

TEST_P(KernelFormsAgree, ToTenDigitsInEveryFigure) {
    const auto [unbiased, rows_per_window] = GetParam();
    const ProbeLayout layout = layout_of(180 / rows_per_window, rows_per_window, 7);  // segments of 25 and more rows
    const FeatureMatrix x = golden_features(5, 180, 20);
    const FeatureMatrix y = golden_related(x, 6, 30);
    const std::vector<FeatureMatrix> a{x, y};
    const std::vector<FeatureMatrix> b{golden_related(x, 7, 11), x};
    const ComparisonResult gram = compare_with(linear(unbiased, KernelForm::gram), a, b, layout);
    // Sums of about 180^2 terms of either sign: float64 leaves more than the ten digits that are promised.
    EXPECT_LT(largest_difference(gram, compare_with(linear(unbiased, KernelForm::streamed), a, b, layout)), 1e-10);
    EXPECT_LT(largest_difference(gram, compare_with(linear(unbiased, KernelForm::features), a, b, layout)), 1e-10);
    EXPECT_GT(gram.value(1, 1), gram.null_p95(1, 1));
    EXPECT_LT(gram.low(0, 0), gram.value(0, 0));
    EXPECT_GT(gram.high(0, 0), gram.value(0, 0));
}

INSTANTIATE_TEST_SUITE_P(Centring, KernelFormsAgree, testing::Combine(testing::Bool(), testing::Values(1, 3)));

TEST(KernelForms, AgreeToTenDigitsOverThousandsOfRows) {
    Stream stream(4, "many rows");
    const ProbeLayout layout = layout_of(3000, 1, 32);
    const FeatureMatrix x = gaussian(stream, 3000, 12);
    FeatureMatrix y = gaussian(stream, 3000, 10);
    y.leftCols(6) += x.leftCols(6);
    y.array() += 1e3F;
    for (const bool unbiased : {false, true}) {
        EXPECT_EQ(kernel_form(3000, 12, linear(unbiased)), KernelForm::features);
        const ComparisonResult tiles = compare_with(linear(unbiased, KernelForm::streamed), {x}, {y}, layout, {0, true});
        const ComparisonResult features = compare_with(linear(unbiased), {x}, {y}, layout, {0, true});
        for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::low, &ComparisonResult::high}) {
            EXPECT_NEAR((features.*figure)(0, 0), (tiles.*figure)(0, 0), 1e-10);
        }
    }
}

/// 1000 windows of 100 tokens; y has a correlation of 0.6 with x in every feature.
struct Tokens {
    ProbeLayout layout = layout_of(1000, 100, 32);
    Features x;
    Features y;
    explicit Tokens(Index p) {
        Stream common(5, "tokens");
        x = mapped_features(layout.rows(), p, [&](float* row) {
            for (Index i = 0; i < p; ++i) row[i] = static_cast<float>(common.normal());
        });
        Stream own(6, "tokens");
        Index at = 0;
        y = mapped_features(layout.rows(), p, [&](float* row) {
            for (Index i = 0; i < p; ++i) row[i] = 0.6F * x.row(at)[i] + 0.8F * static_cast<float>(own.normal());
            ++at;
        });
    }
};

TEST(KernelForms, AHundredThousandTokensInFeatureSpace) {
    const Tokens tokens(8);
    const PreparedBlocks a{prepare_kernel(tokens.x, tokens.layout, linear(true), {})};
    const PreparedBlocks b{prepare_kernel(tokens.y, tokens.layout, linear(true), {})};
    const ComparisonResult result = compare_kernel(a, b, tokens.layout, {20, true}, {});
    EXPECT_NEAR(result.value(0, 0), 0.36, 0.02);
    EXPECT_LT(result.null_p95(0, 0), 0.01);
    EXPECT_LT(result.low(0, 0), 0.36);
    EXPECT_GT(result.high(0, 0), 0.36);
    EXPECT_LT(result.high(0, 0) - result.low(0, 0), 0.05);
}

TEST(KernelMemory, IsSomeNumbersARowWhateverTheFeatures) {
    if (!kMemoryCanBeLimited) GTEST_SKIP() << "AddressSanitizer";
    // 100,000 rows of 128 features take 51 MB in float32 for each of the two; 24 MiB are to do for everything.
    const Tokens tokens(128);
    for (const Index batch_rows : {0, 250}) {
        for (const bool unbiased : {false, true}) {
            if (batch_rows > 0 && !unbiased) continue;
            KernelRecipe recipe = linear(unbiased);
            recipe.batch_rows = batch_rows;
            EXPECT_TRUE(runs_within(std::size_t{24} << 20, [&] {
                const PreparedBlocks a{prepare_kernel(tokens.x, tokens.layout, recipe, {})};
                const PreparedBlocks b{prepare_kernel(tokens.y, tokens.layout, recipe, {})};
                const ComparisonResult result = compare_kernel(a, b, tokens.layout, {2, true}, {});
                if (!(std::abs(result.value(0, 0) - 0.36) < 0.02)) throw std::runtime_error("the value is wrong");
            })) << "batches of " << batch_rows << (unbiased ? ", unbiased" : ", biased");
        }
    }
    EXPECT_FALSE(runs_within(std::size_t{24} << 20, [&] { FeatureMatrix copy = tokens.x.matrix(); }));
}

TEST(KernelForms, OneAndTwoThreadsGiveTheSameBits) {
    // Odd widths above 256, which OpenBLAS would sum in other pieces with several threads than with one.
    const ProbeLayout layout = layout_of(128, 2, 2);
    const std::vector<FeatureMatrix> a{golden_features(5, 256, 301)};
    std::vector<FeatureMatrix> b;
    for (std::uint64_t seed = 6; seed < 30; ++seed) b.push_back(golden_related(a[0], seed, 293));  // enough to be worth threads
    std::vector<KernelRecipe> recipes;
    for (const auto form : {KernelForm::gram, KernelForm::streamed, KernelForm::features}) {
        recipes.push_back(linear(false, form));
        recipes.push_back(linear(true, form));
    }
    recipes.emplace_back().function = KernelRecipe::Function::rbf;
    recipes.push_back(linear(true));
    recipes.back().batch_rows = 128;
    for (std::size_t i = 0; i < recipes.size(); ++i) {
        const int permutations = recipes[i].batch_rows > 0 ? 2 : 20;  // batches: their mean is the figure that holds them
        const auto with_threads = [&](int threads) {
            omp_set_num_threads(threads);
            openblas_set_num_threads(threads);
            return compare_with(recipes[i], a, b, layout, {permutations, true});
        };
        const ComparisonResult several = with_threads(2);
        const ComparisonResult one = with_threads(1);
        for (const auto figure : {&ComparisonResult::value, &ComparisonResult::null_mean, &ComparisonResult::null_p95, &ComparisonResult::low,
                                  &ComparisonResult::high}) {
            for (Index entry = 0; entry < one.value.size(); ++entry) {
                ASSERT_EQ(std::bit_cast<std::uint64_t>((several.*figure).data()[entry]), std::bit_cast<std::uint64_t>((one.*figure).data()[entry]))
                    << "recipe " << i << ", entry " << entry;
            }
        }
    }
}

TEST(KernelForms, StreamedRbfEqualsKeptRbf) {
    KernelRecipe recipe;
    recipe.function = KernelRecipe::Function::rbf;
    const ProbeLayout layout = layout_of(50, 3, 4);
    const std::vector<FeatureMatrix> a{golden_features(5, 150, 20)};
    const std::vector<FeatureMatrix> b{golden_related(a[0], 7, 11)};
    recipe.form = KernelForm::gram;
    const ComparisonResult kept = compare_with(recipe, a, b, layout);
    recipe.form = KernelForm::streamed;
    EXPECT_LT(largest_difference(kept, compare_with(recipe, a, b, layout)), 1e-12);
}

TEST(KernelJackknife, EqualsDeletingTheRowsAndStartingAgain) {
    const FeatureMatrix x = golden_features(8, 40, 12);
    const FeatureMatrix y = golden_related(x, 9, 10);
    ProbeLayout layout = layout_of(20, 2);
    layout.group = {2, 2, 2, 0, 0, 1, 1, 1, 1, 4, 4, 0, 3, 3, 2, 1, 1, 1, 1, 0};  // unequal, not consecutive, a gap at the end
    for (const bool unbiased : {false, true}) {
        const auto naive = [&](const FeatureMatrix& a, const FeatureMatrix& b) {
            return compare_with(linear(unbiased), {a}, {b}, layout_of(a.rows()), {0, false}).value(0, 0);
        };
        std::vector<double> deleted;
        std::vector<Index> group_rows;
        for (int g = 0; g < 5; ++g) {
            std::vector<Index> kept;
            for (Index row = 0; row < 40; ++row) {
                if (layout.group[static_cast<std::size_t>(row / 2)] != g) kept.push_back(row);
            }
            deleted.push_back(naive(rows_of(x, kept), rows_of(y, kept)));
            group_rows.push_back(40 - static_cast<Index>(kept.size()));
        }
        const Interval expected = jackknife_interval(naive(x, y), deleted, group_rows);
        const ComparisonResult result = compare_with(linear(unbiased), {x}, {y}, layout);
        EXPECT_NEAR(result.low(0, 0), expected.low, 1e-12);
        EXPECT_NEAR(result.high(0, 0), expected.high, 1e-12);
    }
}

TEST(KernelNull, EqualsPermutingTheWindowsAndStartingAgain) {
    const ProbeLayout layout = layout_of(30, 2, 3);
    const FeatureMatrix x = golden_features(8, 60, 12);
    const FeatureMatrix y = golden_related(x, 9, 10);
    for (const bool unbiased : {false, true}) {
        std::vector<double> values;
        for (const auto& permutation : window_permutations(layout, 39)) {
            const FeatureMatrix permuted = rows_of(y, permuted_rows(layout, permutation));
            values.push_back(compare_with(linear(unbiased), {x}, {permuted}, layout, {0, false}).value(0, 0));
        }
        const ComparisonResult result = compare_with(linear(unbiased), {x}, {y}, layout, {39, false});
        EXPECT_NEAR(result.null_p95(0, 0), null_quantile_95(values), 1e-12);
    }
}

TEST(KernelNull, OfBatchesEqualsPermutingTheWindowsAndStartingAgain) {
    // Windows of 2 cross from batch to batch; 60 rows are two batches of 25 and 10 that are left over, or 45 and 15.
    const ProbeLayout layout = layout_of(30, 2, 3);
    const FeatureMatrix x = golden_features(8, 60, 12);
    const FeatureMatrix y = golden_related(x, 9, 10);
    for (const Index batch_rows : {25, 45}) {
        KernelRecipe recipe = linear(true);
        recipe.batch_rows = batch_rows;
        std::vector<double> values;
        for (const auto& permutation : window_permutations(layout, 39)) {
            const FeatureMatrix permuted = rows_of(y, permuted_rows(layout, permutation));
            values.push_back(compare_with(recipe, {x}, {permuted}, layout, {0, false}).value(0, 0));
        }
        const ComparisonResult result = compare_with(recipe, {x}, {y}, layout, {39, false});
        EXPECT_NEAR(result.null_p95(0, 0), null_quantile_95(values), 1e-12);
        EXPECT_NEAR(result.null_mean(0, 0), std::accumulate(values.begin(), values.end(), 0.0) / 39, 1e-12);
    }
}

TEST(KernelNull, TheClosedFormIsTheMeanOverEveryPermutation) {
    for (const int rows_per_window : {1, 3}) {
        const ProbeLayout layout = layout_of(5, rows_per_window);
        const FeatureMatrix x = golden_features(10, layout.rows(), 4);
        const FeatureMatrix y = golden_related(x, 11, 3);
        KernelRecipe rbf;
        rbf.function = KernelRecipe::Function::rbf;
        for (const auto& recipe : {linear(false), linear(true), linear(false, KernelForm::features),
                                   linear(true, KernelForm::features), rbf}) {
            std::vector<std::int64_t> permutation(5);
            std::iota(permutation.begin(), permutation.end(), 0);
            double sum = 0;
            do {
                const FeatureMatrix permuted = rows_of(y, permuted_rows(layout, permutation));
                sum += compare_with(recipe, {x}, {permuted}, layout, {0, false}).value(0, 0);
            } while (std::next_permutation(permutation.begin(), permutation.end()));
            const double mean = compare_with(recipe, {x}, {y}, layout, {0, false}).null_mean(0, 0);
            EXPECT_NEAR(mean, sum / 120, 1e-12);
            if (recipe.unbiased && rows_per_window == 1) {
                EXPECT_EQ(mean, 0);
            }
        }
    }
}

/// Bit patterns, so that NaN equals NaN and -0 differs from 0.
std::vector<std::uint64_t> bits_of(const ComparisonResult& result, Index row, Index column) {
    std::vector<std::uint64_t> bits;
    for (const auto* figure : {&result.value, &result.null_mean, &result.null_p95, &result.low, &result.high}) {
        bits.push_back(std::bit_cast<std::uint64_t>((*figure)(row, column)));
    }
    return bits;
}

class KernelBits : public testing::TestWithParam<KernelForm> {};

TEST_P(KernelBits, DoNotDependOnWhatElseIsCompared) {
    const ProbeLayout layout = layout_of(150, 1, 6);
    const KernelRecipe recipe = linear(true, GetParam());
    Stream stream(3, "bits");
    std::vector<FeatureMatrix> features;
    for (int i = 0; i < 31; ++i) features.push_back(gaussian(stream, 150, 9));
    for (int i = 1; i < 31; ++i) features[i] += features[0];
    const PreparedBlocks blocks = blocks_of(features, layout, recipe);
    const ComparisonResult all = compare_kernel(blocks, blocks, layout, {20, true}, {});

    // Alone, in every kind of company, at other places of the pair tile and in another tile.
    for (const auto& [i, j] : std::vector<std::pair<Index, Index>>{{0, 1}, {5, 30}, {30, 2}, {23, 24}, {24, 23}, {7, 7}}) {
        const PreparedBlocks a{blocks[static_cast<std::size_t>(i)]};
        const PreparedBlocks b{blocks[static_cast<std::size_t>(j)]};
        EXPECT_EQ(bits_of(compare_kernel(a, b, layout, {20, true}, {}), 0, 0), bits_of(all, i, j));
        PreparedBlocks permuted(blocks.rbegin(), blocks.rend());
        const ComparisonResult reversed = compare_kernel(permuted, b, layout, {20, true}, {});
        EXPECT_EQ(bits_of(reversed, 30 - i, 0), bits_of(all, i, j));
    }
    const ComparisonResult upper = compare_kernel(blocks, blocks, layout, {20, true}, upper_blocks(31));
    for (Index i = 0; i < 31; ++i) {
        for (Index j = 0; j < 31; ++j) {
            if (j >= i) {
                EXPECT_EQ(bits_of(upper, i, j), bits_of(all, i, j));
            } else {
                EXPECT_TRUE(std::isnan(upper.value(i, j)));
            }
            EXPECT_NEAR(all.value(i, j), all.value(j, i), 1e-14);
        }
    }
    // What else is asked for changes nothing either.
    const ComparisonResult plain = compare_kernel(blocks, blocks, layout, {0, false}, {});
    EXPECT_EQ((plain.value - all.value).cwiseAbs().maxCoeff(), 0);
}

INSTANTIATE_TEST_SUITE_P(Forms, KernelBits,
                         testing::Values(KernelForm::gram, KernelForm::streamed, KernelForm::features));

TEST(KernelForms, OfDifferentWidthsAreComparedByGramTiles) {
    // n = 60 is more than 8 x 5 and less than 8 x 10: one block keeps features, the other its Gram matrix.
    const ProbeLayout layout = layout_of(60, 1, 6);
    const FeatureMatrix narrow = golden_features(1, 60, 5);
    const FeatureMatrix wide = golden_related(narrow, 2, 10);
    for (const bool unbiased : {false, true}) {
        const ComparisonResult mixed = compare_with(linear(unbiased), {narrow, wide}, {wide, narrow}, layout);
        const ComparisonResult gram = compare_with(linear(unbiased, KernelForm::gram), {narrow, wide}, {wide, narrow}, layout);
        EXPECT_LT(largest_difference(mixed, gram), 1e-10);
        const ComparisonResult alone = compare_with(linear(unbiased), {narrow}, {wide}, layout);
        EXPECT_EQ(bits_of(alone, 0, 0), bits_of(mixed, 0, 0));
    }
}

TEST(KernelForms, OfDifferentWidthsDoNotChangeEachOthersBits) {
    // 600 rows are several bands where tiles are formed; those of the two wide blocks are kept.
    const ProbeLayout layout = layout_of(600, 1, 6);
    const FeatureMatrix narrow = golden_features(1, 600, 5);
    const FeatureMatrix wide = golden_related(narrow, 2, 100);
    const FeatureMatrix other = golden_related(narrow, 3, 100);
    for (const bool unbiased : {false, true}) {
        const ComparisonResult alone = compare_with(linear(unbiased), {wide}, {other}, layout);
        const ComparisonResult together = compare_with(linear(unbiased), {wide, narrow}, {narrow, other}, layout);
        EXPECT_EQ(bits_of(together, 0, 1), bits_of(alone, 0, 0));
        EXPECT_EQ(bits_of(together, 0, 0), bits_of(compare_with(linear(unbiased), {wide}, {narrow}, layout), 0, 0));
    }
}

TEST(KernelSafety, ConstantFeaturesAndTooFewRowsAreErrorsWithAReason) {
    const FeatureMatrix constant = FeatureMatrix::Constant(10, 4, 0.1F);
    EXPECT_THROW(prepare_kernel(constant, layout_of(10), linear(false), {}), NumericError);
    EXPECT_THROW(prepare_kernel(golden_features(1, 3, 4), layout_of(3), linear(true), {}), NumericError);
    EXPECT_THROW(prepare_kernel(golden_features(1, 1, 4), layout_of(1), linear(false), {}), NumericError);
    // A simplex: all distances equal, the U-centred matrix vanishes.
    EXPECT_THROW(prepare_kernel(FeatureMatrix(FeatureMatrix::Identity(6, 6)), layout_of(6), linear(true), {}), NumericError);
    EXPECT_NO_THROW(prepare_kernel(FeatureMatrix(FeatureMatrix::Identity(6, 6)), layout_of(6), linear(false), {}));
}

TEST(KernelSafety, ALargeCommonMeanChangesNothing) {
    Stream stream(1, "mean");
    const FeatureMatrix x = gaussian(stream, 60, 10);
    FeatureMatrix shifted = (x.array() + 1e4F).matrix();
    const FeatureMatrix rounded = (shifted.array() - 1e4F).matrix();  // what float32 kept of x at 1e4; exact
    const FeatureMatrix y = golden_related(x, 3, 8);
    const ProbeLayout layout = layout_of(60, 1, 5);
    for (const auto form : {KernelForm::gram, KernelForm::streamed, KernelForm::features}) {
        for (const bool unbiased : {false, true}) {
            const auto recipe = linear(unbiased, form);
            EXPECT_LT(largest_difference(compare_with(recipe, {shifted}, {y}, layout), compare_with(recipe, {rounded}, {y}, layout)),
                      1e-12);
        }
    }
}

TEST(KernelSafety, OneDominantRowIsReported) {
    Stream stream(1, "leverage");
    FeatureMatrix x = gaussian(stream, 64, 10);
    const FeatureMatrix y = gaussian(stream, 64, 10);
    x.row(17) *= 100;
    const ComparisonResult result = compare_with(linear(false), {x}, {y}, layout_of(64, 1, 8));
    EXPECT_NE(result.message().find("A block 0: row 17 holds 9"), std::string::npos) << result.message();
    EXPECT_TRUE(std::isfinite(result.value(0, 0)));
    EXPECT_TRUE(std::isfinite(result.low(0, 0)));
}

TEST(KernelSafety, EqualFeaturesHaveExactlyOneWithAnExactInterval) {
    const FeatureMatrix x = golden_features(1, 50, 8);
    const FeatureMatrix copy = x;
    for (const bool unbiased : {false, true}) {
        const ComparisonResult result = compare_with(linear(unbiased), {x}, {copy}, layout_of(50, 1, 5));
        EXPECT_EQ(result.value(0, 0), 1);
        EXPECT_EQ(result.low(0, 0), 1);
        EXPECT_EQ(result.high(0, 0), 1);
    }
}

TEST(KernelSafety, WhatCannotBeGivenIsNaNWithAMessage) {
    const FeatureMatrix x = golden_features(1, 20, 8);
    const FeatureMatrix y = golden_related(x, 2, 8);
    const ComparisonResult few = compare_with(linear(false), {x}, {y}, layout_of(20), {10, true});
    EXPECT_TRUE(std::isnan(few.null_p95(0, 0)));
    EXPECT_TRUE(std::isnan(few.low(0, 0)));
    EXPECT_NE(few.message().find("permutations = 10"), std::string::npos);
    EXPECT_NE(few.message().find("no jackknife groups"), std::string::npos);

    // Two groups of which one holds all the variation: without it nothing is left.
    FeatureMatrix half = FeatureMatrix::Zero(20, 8);
    half.topRows(10) = x.topRows(10);
    ProbeLayout layout = layout_of(20);
    layout.group.assign(20, 1);
    std::fill(layout.group.begin(), layout.group.begin() + 10, 0);
    const ComparisonResult result = compare_with(linear(false), {half}, {y}, layout);
    EXPECT_TRUE(std::isfinite(result.value(0, 0)));
    EXPECT_TRUE(std::isnan(result.low(0, 0)));
    EXPECT_NE(result.message().find("nothing varies"), std::string::npos);
}

}  // namespace
}  // namespace cmsweep
