#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>

#include "cmsweep/base/error.hpp"
#include "metrics.hpp"
#include "pairwise.hpp"
#include "window_sums.hpp"

namespace cmsweep {
namespace {

constexpr Index kMostRows = 4096;  // 8.4 million pairs of rows, 100 MB a block
constexpr Index kTileRows = 256;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Pair i < j of n rows, numbered row by row.
std::size_t pair_number(Index i, Index j, Index n) { return static_cast<std::size_t>(i * (2 * n - i - 1) / 2 + (j - i - 1)); }

/// Ranks (ties share their mean rank) centred and at unit norm; false if all are equal.
bool standardise(Eigen::VectorXd& ranks) {
    ranks.array() -= ranks.mean();
    const double norm = ranks.norm();
    if (!(norm > 0)) return false;
    ranks /= norm;
    return true;
}

struct RankBlock : PairBlock {
    RankBlock(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point);
    std::size_t bytes() const override {
        return static_cast<std::size_t>(ranks.size()) * 8 + sorted.size() * 4 + new_value.size() / 8 +
               static_cast<std::size_t>(2 * windows.within.size()) * 8;
    }
    /// Standardised ranks among the pairs for which `kept` is true, by increasing pair number; empty if all are equal.
    Eigen::VectorXd ranks_among(const std::vector<bool>& kept, const std::vector<std::uint32_t>& number) const;

    Index n = 0;
    Eigen::VectorXd ranks;              ///< standardised, by pair number
    std::vector<std::uint32_t> sorted;  ///< pair numbers by increasing dissimilarity
    std::vector<bool> new_value;        ///< in that order: greater than the one before
    WindowSums windows;                 ///< of the symmetric matrix of standardised ranks
};

RankBlock::RankBlock(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point) {
    check_features(features, layout, safe_point);
    content = features_id(features, safe_point);
    n = features.rows();
    const Index p = features.cols();
    if (n < 3 || n > kMostRows) {
        throw NumericError("n = " + std::to_string(n) + " rows: rsa ranks all pairs of rows and takes 3 to " +
                           std::to_string(kMostRows) + "; change similarity.windows or pooling");
    }
    RowMajorMatrix x = features.matrix().cast<double>();
    for (Index row = 0; row < n; ++row) {
        x.row(row).array() -= x(row, 0);  // equal features of a row become exactly zero
        x.row(row).array() -= x.row(row).mean();
        const double norm = x.row(row).norm();
        if (!(norm > 0)) {
            throw NumericError("row " + std::to_string(row) + " has " + std::to_string(p) +
                               " equal features: its correlation with other rows is undefined");
        }
        x.row(row) /= norm;
    }
    // 1 - correlation in units of 2^-40: equal rows have equal dissimilarities whatever the rounding of their products,
    // and float32 features carry no finer differences.
    std::vector<std::int64_t> dissimilarity(static_cast<std::size_t>(n * (n - 1) / 2));
    for (Index begin = 0; begin < n; begin += kTileRows) {
        if (safe_point) safe_point();
        const Index count = std::min(kTileRows, n - begin);
        RowMajorMatrix products(count, n - begin);
        products.noalias() = x.middleRows(begin, count) * x.bottomRows(n - begin).transpose();
        for (Index i = 0; i < count; ++i) {
            for (Index j = i + 1; j < n - begin; ++j) {
                dissimilarity[pair_number(begin + i, begin + j, n)] = std::llround((1 - products(i, j)) * 0x1p40);
            }
        }
    }
    sorted.resize(dissimilarity.size());
    std::iota(sorted.begin(), sorted.end(), 0U);
    std::sort(sorted.begin(), sorted.end(), [&](std::uint32_t a, std::uint32_t b) {
        return dissimilarity[a] != dissimilarity[b] ? dissimilarity[a] < dissimilarity[b] : a < b;
    });
    new_value.resize(sorted.size());
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        new_value[i] = i == 0 || dissimilarity[sorted[i]] != dissimilarity[sorted[i - 1]];
    }
    std::vector<std::uint32_t> number(sorted.size());
    std::iota(number.begin(), number.end(), 0U);
    ranks = ranks_among(std::vector<bool>(sorted.size(), true), number);
    if (ranks.size() == 0) throw NumericError("all rows are equally dissimilar: their ranks do not vary");

    if (layout.rows_per_window == 1) return;  // nothing on the diagonal, and the rest sums to 0
    windows = WindowSums::zero(layout);
    if (windows.within.size() == 0) return;
    for (Index i = 0; i < n; ++i) {
        for (Index j = i + 1; j < n; ++j) {
            windows.add(layout, i, j, ranks(static_cast<Index>(pair_number(i, j, n))));
            windows.add(layout, j, i, ranks(static_cast<Index>(pair_number(i, j, n))));
        }
    }
}

Eigen::VectorXd RankBlock::ranks_among(const std::vector<bool>& kept, const std::vector<std::uint32_t>& number) const {
    const auto count = std::count(kept.begin(), kept.end(), true);
    Eigen::VectorXd result(static_cast<Index>(count));
    std::vector<std::uint32_t> tied;
    double below = 0;
    const auto give_ranks = [&] {
        for (const auto pair : tied) result(number[pair]) = below + (static_cast<double>(tied.size()) + 1) / 2;
        below += static_cast<double>(tied.size());
        tied.clear();
    };
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        if (new_value[i]) give_ranks();
        if (kept[sorted[i]]) tied.push_back(sorted[i]);
    }
    give_ranks();
    if (!standardise(result)) result.resize(0);
    return result;
}

EntryFigures figures(const RankBlock& x, const RankBlock& y, const PairContext& context) {
    EntryFigures entry;
    const Index n = x.n;
    entry.value = std::clamp(x.ranks.dot(y.ranks), -1.0, 1.0);
    // The matrix of ranks has no diagonal, so with one row a window every permutation averages to 0.
    entry.null_mean = context.layout.rows_per_window == 1 ? 0 : mean_over_permutations(x.windows, y.windows, context.layout) / 2;
    Eigen::VectorXd permuted(y.ranks.size());
    for (const auto& permutation : context.permutations) {
        context.safe_point();
        const std::vector<Index> rows = permuted_rows(context.layout, permutation);
        Index pair = 0;
        for (Index i = 0; i < n; ++i) {
            for (Index j = i + 1; j < n; ++j) {
                const auto [low, high] = std::minmax(rows[i], rows[j]);
                permuted(pair++) = y.ranks(static_cast<Index>(pair_number(low, high, n)));
            }
        }
        entry.permuted.push_back(x.ranks.dot(permuted));
    }
    return entry;
}

/// Spearman's correlation without each group: the remaining pairs are ranked anew, by one pass over the sorted order.
void add_deletions(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout, const EntryMask& wanted,
                   const SafePoint& safe_point, ComparisonResult& result) {
    const RowOrder order(layout);
    const Index n = order.rows();
    const auto pairs = static_cast<std::size_t>(n * (n - 1) / 2);
    const auto entries = static_cast<Index>(a.size() * b.size());
    Eigen::MatrixXd deleted = Eigen::MatrixXd::Constant(order.groups(), entries, kNan);
    for (int g = 0; g < order.groups(); ++g) {
        if (safe_point) safe_point();
        std::vector<bool> kept(pairs, false);
        std::vector<std::uint32_t> number(pairs, 0);
        const std::vector<Index> rows = rows_without(order, g);
        std::uint32_t next = 0;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            for (std::size_t j = i + 1; j < rows.size(); ++j) {
                const std::size_t pair = pair_number(rows[i], rows[j], n);
                kept[pair] = true;
                number[pair] = next++;
            }
        }
        if (next < 3) continue;
        const auto ranks_of = [&](const PreparedBlocks& blocks) {
            std::vector<Eigen::VectorXd> ranks;
            for (const auto& block : blocks) ranks.push_back(dynamic_cast<const RankBlock&>(*block).ranks_among(kept, number));
            return ranks;
        };
        const auto ranks_a = ranks_of(a);
        const auto ranks_b = ranks_of(b);
        for (std::size_t i = 0; i < a.size(); ++i) {
            for (std::size_t j = 0; j < b.size(); ++j) {
                if (!wanted(static_cast<Index>(i), static_cast<Index>(j)) || ranks_a[i].size() == 0 || ranks_b[j].size() == 0) continue;
                deleted(g, static_cast<Index>(i * b.size() + j)) = std::clamp(ranks_a[i].dot(ranks_b[j]), -1.0, 1.0);
            }
        }
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < b.size(); ++j) {
            const auto row = static_cast<Index>(i);
            const auto column = static_cast<Index>(j);
            if (!wanted(row, column)) continue;
            const Eigen::VectorXd of_entry = deleted.col(static_cast<Index>(i * b.size() + j));
            const Interval interval = jackknife_interval(
                result.value(row, column), std::span<const double>(of_entry.data(), static_cast<std::size_t>(of_entry.size())),
                order.group_rows);
            result.low(row, column) = interval.low;
            result.high(row, column) = interval.high;
            if (std::isnan(interval.low)) {
                result.add_note("without one of the document groups too few dissimilarities remain: no interval", row, column);
            }
        }
    }
}

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json&, const SafePoint& safe_point) {
    return std::make_shared<const RankBlock>(features, layout, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    ComparisonResult result = compare_pairwise<RankBlock>(a, b, layout, options, wanted, figures);
    if (options.interval && RowOrder(layout).groups() > 1) {
        add_deletions(a, b, layout, complete_mask(wanted, result.value.rows(), result.value.cols()), options.safe_point, result);
    }
    return result;
}

}  // namespace

/// Spearman's correlation between the dissimilarities 1 - Pearson of all pairs of rows, features not centred by column.
MetricInfo rsa() {
    MetricInfo info;
    info.name = "rsa";
    info.most_rows = kMostRows;
    info.summary = "rank correlation of the dissimilarities between rows";
    info.source = "Kriegeskorte, Mur, Bandettini 2008, Representational similarity analysis";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
