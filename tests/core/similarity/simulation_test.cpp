// What the null and the interval promise, checked on data whose truth is known. Fixed seeds; each bound is at least
// three standard deviations of the count it bounds.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>
#include <string>

#include "probe_data.hpp"

namespace cmsweep {
namespace {

/// Rows with what windows and documents share: row = document + window + its own part, unit variance in all.
FeatureMatrix clustered(Stream& stream, const ProbeLayout& layout, Eigen::Index p, double document, double window) {
    const int groups = layout.group.back() + 1;
    const FeatureMatrix of_document = gaussian(stream, groups, p);
    const FeatureMatrix of_window = gaussian(stream, layout.windows, p);
    FeatureMatrix x = gaussian(stream, layout.rows(), p);
    x *= static_cast<float>(std::sqrt(1 - document - window));
    for (Eigen::Index row = 0; row < x.rows(); ++row) {
        const auto w = row / layout.rows_per_window;
        x.row(row) += static_cast<float>(std::sqrt(document)) * of_document.row(layout.group[static_cast<std::size_t>(w)]) +
                      static_cast<float>(std::sqrt(window)) * of_window.row(w);
    }
    return x;
}

FeatureMatrix mixed(double r, const FeatureMatrix& x, const FeatureMatrix& e) {
    return static_cast<float>(r) * x + static_cast<float>(std::sqrt(1 - r * r)) * e;
}

struct Coverage {
    double covered;
    double width;
};

/// Share of `repeats` intervals that hold `truth` (NaN: the mean of all values, for the biased form).
Coverage coverage(const std::string& metric, std::int64_t windows, std::int64_t rows_per_window, Eigen::Index p, double r,
                  double document, double window, double truth, int repeats) {
    Stream stream(1, "coverage", {metric});
    std::vector<std::array<double, 3>> found;
    double mean = 0;
    for (int i = 0; i < repeats; ++i) {
        ProbeLayout layout = layout_of(windows, rows_per_window, 32, "coverage " + std::to_string(i));
        const FeatureMatrix x = clustered(stream, layout, p, document, window);
        const FeatureMatrix y = mixed(r, x, clustered(stream, layout, p, document, window));
        const ComparisonResult result = compare_two(metric, x, y, layout, {0, true});
        found.push_back({result.value(0, 0), result.low(0, 0), result.high(0, 0)});
        mean += result.value(0, 0) / repeats;
    }
    Coverage share{0, 0};
    for (const auto& [value, low, high] : found) {
        const double target = std::isnan(truth) ? mean : truth;
        share.covered += (low <= target && target <= high ? 1.0 : 0.0) / repeats;
        share.width += (high - low) / repeats;
    }
    return share;
}

constexpr double kOwnMean = std::numeric_limits<double>::quiet_NaN();

TEST(Simulation, TheIntervalCoversForMeanPooling) {
    // 300 repeats: a share of 0.95 has a standard deviation of 0.0126. Debiased against the population's r^2,
    // biased against its own expectation (it estimates nothing else).
    const Coverage debiased = coverage("cka_debiased", 128, 1, 24, 0.7, 0, 0, 0.49, 300);
    EXPECT_GE(debiased.covered, 0.91);
    EXPECT_LE(debiased.covered, 0.99);
    EXPECT_LT(debiased.width, 0.3);
    const Coverage biased = coverage("cka_linear", 128, 1, 24, 0.7, 0, 0, kOwnMean, 300);
    EXPECT_GE(biased.covered, 0.91);
    EXPECT_LE(biased.covered, 0.995);
    const Coverage wide = coverage("cka_linear", 96, 1, 300, 0.9, 0, 0, kOwnMean, 100);
    EXPECT_GE(wide.covered, 0.87);
}

TEST(Simulation, TheIntervalCoversWhenDocumentsAndWindowsShareFeatures) {
    // Deleting documents, not windows or tokens, is what keeps the interval honest here.
    const Coverage windows = coverage("cka_debiased", 128, 1, 24, 0.7, 0.3, 0, kOwnMean, 300);
    EXPECT_GE(windows.covered, 0.90);
    EXPECT_LE(windows.covered, 0.995);
    const Coverage tokens = coverage("cka_debiased", 64, 6, 20, 0.7, 0.2, 0.2, kOwnMean, 200);
    EXPECT_GE(tokens.covered, 0.89);
    EXPECT_LE(tokens.covered, 0.999);
}

double rejected(const std::string& metric, std::int64_t windows, std::int64_t rows_per_window, Eigen::Index p, double window,
                double r, int repeats) {
    Stream stream(2, "level", {metric});
    double share = 0;
    for (int i = 0; i < repeats; ++i) {
        const ProbeLayout layout = layout_of(windows, rows_per_window, 32, "level " + std::to_string(i));
        const FeatureMatrix x = clustered(stream, layout, p, 0, window);
        const FeatureMatrix y = mixed(r, x, clustered(stream, layout, p, 0, window));
        const ComparisonResult result = compare_two(metric, x, y, layout, {20, false});
        share += (result.value(0, 0) > result.null_p95(0, 0) ? 1.0 : 0.0) / repeats;
    }
    return share;
}

TEST(Simulation, TheNullRejectsAtItsLevelAndHasPower) {
    // The level is 1/21 = 0.048; 400 repeats: standard deviation 0.0107.
    for (const char* metric : {"cka_linear", "cka_debiased"}) {
        const double mean = rejected(metric, 64, 1, 40, 0, 0, 400);
        EXPECT_GT(mean, 0.012) << metric;
        EXPECT_LT(mean, 0.085) << metric;
        // Tokens of a window resemble each other: permuting rows would reject far too often, whole windows do not.
        const double token = rejected(metric, 32, 4, 10, 0.5, 0, 400);
        EXPECT_GT(token, 0.012) << metric;
        EXPECT_LT(token, 0.085) << metric;
        EXPECT_GT(rejected(metric, 64, 1, 40, 0, 0.6, 20), 0.9) << metric;
    }
}

TEST(Simulation, ResamplingWithReplacementInventsSimilarity) {
    // Independent data, n = 128, p = 768: its debiased CKA is 0. A bootstrap sample holds rows twice, in X and in Y at
    // the same places; each such pair is a perfect shared neighbour (product 768 against 28 for others), and about 64
    // of them outweigh the 8,000 other pairs. Hence the jackknife.
    Stream stream(3, "bootstrap");
    const FeatureMatrix x = gaussian(stream, 128, 768);
    const FeatureMatrix y = gaussian(stream, 128, 768);
    EXPECT_NEAR(value_of("cka_debiased", x, y), 0, 0.05);
    for (int sample = 0; sample < 5; ++sample) {
        FeatureMatrix x_again(128, 768);
        FeatureMatrix y_again(128, 768);
        for (Eigen::Index row = 0; row < 128; ++row) {
            const auto drawn = static_cast<Eigen::Index>(stream.below(128));
            x_again.row(row) = x.row(drawn);
            y_again.row(row) = y.row(drawn);
        }
        const double value = value_of("cka_debiased", x_again, y_again);
        EXPECT_GT(value, 0.80);
        EXPECT_LT(value, 0.91);
    }
    const ComparisonResult result = compare_two("cka_debiased", x, y, layout_of(128, 1, 32), {20, true});
    EXPECT_LT(result.low(0, 0), 0.05);
    EXPECT_LT(result.high(0, 0), 0.1);
}

}  // namespace
}  // namespace cmsweep
