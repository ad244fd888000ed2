#include "statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <stdexcept>

namespace cmsweep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// P(|T| <= t) for integer degrees of freedom: Abramowitz and Stegun 26.7.3 and 26.7.4.
double central_probability(double t, int degrees) {
    const double theta = std::atan(t / std::sqrt(static_cast<double>(degrees)));
    const double cosine = std::cos(theta);
    const double sine = std::sin(theta);
    double term = degrees % 2 == 1 ? cosine : 1.0;
    double sum = degrees == 1 ? 0.0 : term;
    for (int k = degrees % 2 == 1 ? 3 : 2; k < degrees; k += 2) {
        term *= cosine * cosine * (k - 1) / k;
        sum += term;
    }
    return degrees % 2 == 1 ? 2 / std::numbers::pi * (theta + sine * sum) : sine * sum;
}

}  // namespace

double student_t_975(int degrees) {
    double low = 1.9;
    double high = 13.0;  // degrees = 1: 12.706
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (central_probability(middle, degrees) < 0.95 ? low : high) = middle;
    }
    return (low + high) / 2;
}

double null_quantile_95(std::vector<double> permuted) {
    const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(permuted.size() + 1) - 1e-9));
    if (rank > permuted.size() || rank == 0) return kNan;
    for (const double value : permuted) {
        if (std::isnan(value)) return kNan;
    }
    std::sort(permuted.begin(), permuted.end());
    return permuted[rank - 1];
}

Interval jackknife_interval(double value, std::span<const double> deleted, std::span<const Eigen::Index> group_rows) {
    if (value == 1) return {1, 1};
    if (std::isnan(value) || deleted.size() < 2) return {kNan, kNan};
    const auto scaled = [](double v) { return std::atanh(std::clamp(v, -1 + 1e-15, 1 - 1e-15)); };
    const double rows = static_cast<double>(std::accumulate(group_rows.begin(), group_rows.end(), Eigen::Index{0}));
    const double groups = static_cast<double>(deleted.size());
    const double whole = scaled(value);
    double centre = groups * whole;
    for (std::size_t g = 0; g < deleted.size(); ++g) {
        if (std::isnan(deleted[g])) return {kNan, kNan};
        centre -= (1 - static_cast<double>(group_rows[g]) / rows) * scaled(deleted[g]);
    }
    double variance = 0;
    for (std::size_t g = 0; g < deleted.size(); ++g) {
        const double h = rows / static_cast<double>(group_rows[g]);
        const double pseudo = h * whole - (h - 1) * scaled(deleted[g]);
        variance += (pseudo - centre) * (pseudo - centre) / (h - 1);
    }
    variance /= groups;
    const double half = student_t_975(static_cast<int>(deleted.size()) - 1) * std::sqrt(variance);
    return {std::tanh(whole - half), std::tanh(whole + half)};
}

EntryMask complete_mask(const EntryMask& wanted, Eigen::Index rows, Eigen::Index columns) {
    if (wanted.size() == 0) return EntryMask::Constant(rows, columns, true);
    if (wanted.rows() != rows || wanted.cols() != columns) {
        throw std::invalid_argument("compare: a mask of " + std::to_string(wanted.rows()) + " x " + std::to_string(wanted.cols()) +
                                    " entries for " + std::to_string(rows) + " x " + std::to_string(columns) + " blocks");
    }
    return wanted;
}

void set_entry(ComparisonResult& result, Eigen::Index row, Eigen::Index column, const EntryFigures& figures,
               std::span<const Eigen::Index> group_rows) {
    result.value(row, column) = figures.value;
    double mean = figures.null_mean;
    if (std::isnan(mean) && !figures.permuted.empty()) {
        mean = std::accumulate(figures.permuted.begin(), figures.permuted.end(), 0.0) /
               static_cast<double>(figures.permuted.size());
    }
    result.null_mean(row, column) = mean;
    result.null_p95(row, column) = null_quantile_95(figures.permuted);
    bool no_interval = false;
    if (!figures.deleted.empty()) {
        const Interval interval = jackknife_interval(figures.value, figures.deleted, group_rows);
        result.low(row, column) = interval.low;
        result.high(row, column) = interval.high;
        no_interval = std::isnan(interval.low);
    }
    result.add_note(figures.message, row, column);
    if (std::isnan(figures.value)) {
        if (figures.message.empty()) result.add_note("the value is not a number", row, column);
        return;
    }
    if (no_interval && figures.message.empty()) {
        result.add_note("without one of the document groups there is no value: no interval", row, column);
    }
    if (std::isnan(mean)) {
        result.add_note(figures.permuted.empty() ? "the null's mean has no formula here and there are no permutations to average; raise similarity.permutations"
                                                 : "a permutation has no value: no null",
                        row, column);
    }
}

void add_option_messages(ComparisonResult& result, const ComparisonOptions& options, const ProbeLayout& layout, int groups) {
    if (options.permutations > 0 && options.permutations < 19) {
        result.add_note("permutations = " + std::to_string(options.permutations) +
                                ": a 95 % point needs at least 19; null_p95 is left out");
    }
    if (layout.windows < 2) result.add_note("the probe has one window: there is nothing to permute, the null says nothing");
    if (options.interval && groups < 2) {
        result.add_note(layout.group.empty() ? std::string("the probe has no jackknife groups: no interval")
                                                 : std::string("the probe has one document group: no interval"));
    }
}

}  // namespace cmsweep
