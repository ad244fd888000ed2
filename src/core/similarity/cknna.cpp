#include <cmath>
#include <limits>

#include "cmsweep/base/error.hpp"
#include "neighbours.hpp"

namespace cmsweep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Unbiased HSIC (Song et al. 2012, eq. 5, without its factor) of the two kernel matrices, both set to 0 except where j
/// is a neighbour of i in x and in y. The masked matrices are not symmetric: as in the reference implementation the
/// first term is tr(K L), the last 1^T K L 1.
double masked_hsic(const NeighbourLists& x, const NeighbourLists& y) {
    struct Shared {
        std::int32_t row;
        double x;
        double y;
    };
    const Index n = x.rows();
    std::vector<std::vector<Shared>> shared(static_cast<std::size_t>(n));
    Eigen::VectorXd column_sums = Eigen::VectorXd::Zero(n);  // of x's matrix
    Eigen::VectorXd row_sums = Eigen::VectorXd::Zero(n);     // of y's
    double sum_x = 0;
    double sum_y = 0;
    for (Index row = 0; row < n; ++row) {
        Index i = row * x.k;
        Index j = row * y.k;
        while (i < (row + 1) * x.k && j < (row + 1) * y.k) {
            if (x.row[i] == y.row[j]) {
                shared[row].push_back({x.row[i], x.similarity[i], y.similarity[j]});
                column_sums(x.row[i]) += x.similarity[i];
                row_sums(row) += y.similarity[j];
                sum_x += x.similarity[i];
                sum_y += y.similarity[j];
                ++i;
                ++j;
            } else {
                ++(x.row[i] < y.row[j] ? i : j);
            }
        }
    }
    double trace = 0;
    for (Index row = 0; row < n; ++row) {
        for (const auto& entry : shared[row]) {
            for (const auto& mirrored : shared[static_cast<std::size_t>(entry.row)]) {
                if (mirrored.row == row) trace += entry.x * mirrored.y;
            }
        }
    }
    const double m = static_cast<double>(n);
    return trace + sum_x * sum_y / ((m - 1) * (m - 2)) - 2 * column_sums.dot(row_sums) / (m - 2);
}

struct AlignmentBlock : NeighbourBlock {
    AlignmentBlock(const Features& features, const ProbeLayout& layout, Index neighbours, const SafePoint& safe_point)
        : NeighbourBlock(features, layout, neighbours, safe_point), lists(all()) {
        if (n < 4) throw NumericError("n = " + std::to_string(n) + " rows: cknna is an unbiased form and needs at least 4");
        const RowOrder order(layout);
        for (int g = 0; order.groups() > 1 && g < order.groups(); ++g) {
            const NeighbourLists kept = without(order, g);
            self.push_back(kept.k > 0 && kept.rows() > 3 ? masked_hsic(kept, kept) : kNan);
        }
        self.push_back(masked_hsic(lists, lists));
        if (!(self.back() > 0)) {
            throw NumericError("the unbiased HSIC of the neighbour kernel with itself is " + std::to_string(self.back()) +
                               ": expected a positive value; raise k or similarity.windows");
        }
    }
    std::size_t bytes() const override { return NeighbourBlock::bytes() + lists.bytes() + self.size() * sizeof(double); }
    NeighbourLists lists;
    std::vector<double> self;  // the kernel with itself without each group, last: all rows
};

EntryFigures figures(const AlignmentBlock& x, const AlignmentBlock& y, const PairContext& context) {
    EntryFigures entry;
    entry.null_mean = kNan;  // the shared mask makes it no bilinear form: the mean over the permutations
    const double norm = std::sqrt(x.self.back() * y.self.back());
    entry.value = masked_hsic(x.lists, y.lists) / norm;
    for (const auto& permutation : context.permutations) {
        context.safe_point();
        entry.permuted.push_back(masked_hsic(x.lists, permuted_lists(y.lists, permuted_rows(context.layout, permutation))) / norm);
    }
    for (int g = 0; context.deletions && g < context.order.groups(); ++g) {
        context.safe_point();
        const double self_x = x.self[static_cast<std::size_t>(g)];
        const double self_y = y.self[static_cast<std::size_t>(g)];
        if (self_x > 0 && self_y > 0) {
            const double product = masked_hsic(x.without(context.order, g), y.without(context.order, g));
            entry.deleted.push_back(product / std::sqrt(self_x * self_y));
        } else {
            entry.deleted.push_back(kNan);
            entry.message = "undefined without one of the document groups: no interval";
        }
    }
    return entry;
}

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json& setting, const SafePoint& safe_point) {
    return std::make_shared<const AlignmentBlock>(features, layout, setting.at("k").get<Index>(), safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_pairwise<AlignmentBlock>(a, b, layout, options, wanted, figures);
}

}  // namespace

/// Kernel alignment over shared nearest neighbours, the unbiased form of the reference implementation (without the 1e-6
/// that it adds to the denominator). Being a neighbour is not mutual, so the masked matrices are not symmetric and the
/// reference's term 1^T K L 1 changes a little when the arguments are exchanged.
MetricInfo cknna() {
    MetricInfo info;
    info.name = "cknna";
    info.most_rows = kMostNeighbourRows;
    info.parameters = {neighbours_parameter(2)};
    info.symmetric = false;
    info.summary = "kernel alignment restricted to the nearest neighbours that two representations share";
    info.source = "Huh et al. 2024, The Platonic Representation Hypothesis, appendix A (CKNNA)";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
