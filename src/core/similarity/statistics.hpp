#pragma once

#include <span>
#include <string>
#include <vector>

#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

/// Quantile 0.975 of Student's t with `degrees` >= 1 degrees of freedom, to 1e-10.
double student_t_975(int degrees);

/// The 95 % point of a statistic's distribution under permutation, such that a value above it rejects independence at a
/// level of at most 5 %: of P sorted values the ceil(0.95 (P + 1))-th; NaN where P < 19 cannot resolve 5 %.
double null_quantile_95(std::vector<double> permuted);

struct Interval {
    double low;
    double high;
};

/// 95 % interval by the delete-one-group jackknife, groups of unequal size allowed (Busing, Meijer and van der Leeden,
/// "Delete-m jackknife for unequal m", Statistics and Computing 9, 1999), with Student's t on groups - 1 degrees of
/// freedom. Similarities are bounded by 1, so it is formed on the scale atanh(value) and mapped back: it stays within
/// [-1, 1] and is wider on the side away from the bound.
/// `deleted[g]` is the value without group g, `group_rows[g]` the rows of that group. A value of exactly 1 or NaN among
/// the inputs gives [1, 1] or NaN.
Interval jackknife_interval(double value, std::span<const double> deleted, std::span<const Eigen::Index> group_rows);

/// What a metric found out about one entry.
struct EntryFigures {
    double value = 0;
    double null_mean = 0;           ///< NaN: no formula, take the mean over the permutations
    std::vector<double> permuted;   ///< value under each permutation; empty: not asked for
    std::vector<double> deleted;    ///< value without each group; empty: not asked for
    std::string message;            ///< empty, or a warning
};

/// `wanted` with an element for every entry of a rows x columns result. Throws std::invalid_argument if it has others.
EntryMask complete_mask(const EntryMask& wanted, Eigen::Index rows, Eigen::Index columns);
/// Writes one entry: null quantile and interval follow from the figures.
void set_entry(ComparisonResult& result, Eigen::Index row, Eigen::Index column, const EntryFigures& figures,
               std::span<const Eigen::Index> group_rows);
/// Says once why the figures that were asked for will be NaN whatever the values: too few permutations or groups.
void add_option_messages(ComparisonResult& result, const ComparisonOptions& options, const ProbeLayout& layout, int groups);

}  // namespace cmsweep
