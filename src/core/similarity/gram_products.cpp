#include "gram_products.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace cmsweep {
namespace {

/// Rows of a segment: a Gram tile is at most kSegment x kSegment numbers, so a panel of 24 blocks stays in the cache.
constexpr Index kSegment = 64;
/// Memory for Gram matrices that exist only while one set of blocks is permuted.
constexpr std::size_t kPermutedBytes = std::size_t{1} << 30;

Index tiles(std::size_t count) { return (static_cast<Index>(count) + kPairTile - 1) / kPairTile; }

/// The flattened tiles of some blocks, one a column, padded with zero columns to whole pair tiles.
using Panel = Eigen::MatrixXd;

struct PairSums {
    const Index tiles_a;
    const Index tiles_b;
    const bool upper;
    Eigen::MatrixXd product{kPairTile, kPairTile};

    /// f(first row, first column, product) for every pair tile of the panels' inner products.
    template <typename Use>
    void each(const Panel& a, const Panel& b, Use use) {
        for (Index ta = 0; ta < tiles_a; ++ta) {
            for (Index tb = upper ? ta : 0; tb < tiles_b; ++tb) {
                product.noalias() =
                    a.middleCols(ta * kPairTile, kPairTile).transpose() * b.middleCols(tb * kPairTile, kPairTile);
                use(ta * kPairTile, tb * kPairTile);
            }
        }
    }
};

Eigen::MatrixXd zeros(const PairSums& sums) {
    return Eigen::MatrixXd::Zero(sums.tiles_a * kPairTile, sums.tiles_b * kPairTile);
}

std::vector<Eigen::MatrixXd> cropped(std::vector<Eigen::MatrixXd> matrices, std::size_t rows, std::size_t columns) {
    for (auto& matrix : matrices) {
        if (matrix.size() == 0) continue;
        matrix = matrix.topLeftCorner(static_cast<Index>(rows), static_cast<Index>(columns)).eval();
    }
    return matrices;
}

}  // namespace

std::vector<Eigen::MatrixXd> gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                           bool deletions, bool upper) {
    PairSums sums{tiles(a.size()), tiles(b.size()), upper};
    const bool same_blocks = a == b;
    const int groups = order.groups();
    const int all = groups;
    std::vector<Eigen::MatrixXd> result(static_cast<std::size_t>(groups) + 1);
    for (int g = deletions ? 0 : all; g <= all; ++g) result[g] = zeros(sums);
    const KernelRecipe& recipe = a.front()->recipe;
    const bool several = order.batches.size() > 1;
    Panel panel_a;
    Panel panel_b;

    for (const auto& batch : order.batches) {
        // sum G.H over the batch, and the part of it in which group g takes part
        Eigen::MatrixXd total = zeros(sums);
        std::vector<Eigen::MatrixXd> part(static_cast<std::size_t>(groups));
        if (deletions) {
            for (const auto& run : batch.runs) part[run.group] = zeros(sums);
        }
        const auto segments = order.segments(batch, kSegment);
        for (std::size_t i = 0; i < segments.size(); ++i) {
            for (std::size_t j = i; j < segments.size(); ++j) {
                const RowRun& s = segments[i];
                const RowRun& t = segments[j];
                const Index length = s.count * t.count;
                const double weight = i == j ? 1 : 2;  // the tile below the diagonal is this one's mirror image
                const auto fill = [&](const KernelBlocks& blocks, Index pair_tiles, Panel& panel) {
                    if (panel.rows() != length) panel = Panel::Zero(length, pair_tiles * kPairTile);
                    for (std::size_t k = 0; k < blocks.size(); ++k) {
                        blocks[k]->tile(s, t, panel.col(static_cast<Index>(k)).data());
                    }
                };
                fill(a, sums.tiles_a, panel_a);
                // Copied, not shared: a product of a matrix with itself may be sent down another path by the library.
                if (same_blocks) panel_b = panel_a;
                else fill(b, sums.tiles_b, panel_b);
                sums.each(panel_a, panel_b, [&](Index row, Index column) {
                    total.block(row, column, kPairTile, kPairTile) += weight * sums.product;
                    if (!deletions) return;
                    part[s.group].block(row, column, kPairTile, kPairTile) += weight * sums.product;
                    if (t.group != s.group) {
                        part[t.group].block(row, column, kPairTile, kPairTile) += weight * sums.product;
                    }
                });
            }
        }
        result[all] += centring_weights(recipe, batch.count, several).batch * total;
        if (!deletions) continue;
        for (int g = 0; g < groups; ++g) {
            const auto run = std::find_if(batch.runs.begin(), batch.runs.end(), [&](const RowRun& r) { return r.group == g; });
            const Index kept = batch.count - (run == batch.runs.end() ? 0 : run->count);
            if (kept < fewest_rows(recipe)) continue;
            const CentringWeights weights = centring_weights(recipe, kept, several);
            if (run == batch.runs.end()) {
                result[g] += weights.batch * total;
                continue;
            }
            Eigen::VectorXd sum_a(sums.tiles_a * kPairTile);
            Eigen::VectorXd sum_b(sums.tiles_b * kPairTile);
            const auto fill = [&](const KernelBlocks& blocks, Index pair_tiles, Panel& panel, Eigen::VectorXd& sum) {
                if (panel.rows() != batch.count) panel = Panel::Zero(batch.count, pair_tiles * kPairTile);
                sum.setZero();
                for (std::size_t k = 0; k < blocks.size(); ++k) {
                    const auto kept_sums = blocks[k]->row_sums.col(g).segment(batch.begin, batch.count);
                    panel.col(static_cast<Index>(k)) = blocks[k]->scale * kept_sums;
                    // Summed where the block keeps them: Eigen's order of summation follows the address modulo 16.
                    sum(static_cast<Index>(k)) = blocks[k]->scale * kept_sums.sum();
                }
            };
            fill(a, sums.tiles_a, panel_a, sum_a);
            fill(b, sums.tiles_b, panel_b, sum_b);
            Eigen::MatrixXd kept_sum = total - part[g];
            sums.each(panel_a, panel_b, [&](Index row, Index column) {
                kept_sum.block(row, column, kPairTile, kPairTile) -= weights.rows * sums.product;
            });
            for (Index column = 0; column < kept_sum.cols(); ++column) {
                for (Index row = 0; row < kept_sum.rows(); ++row) {
                    const double corrected = kept_sum(row, column) + weights.total * (sum_a(row) * sum_b(column));
                    result[g](row, column) += weights.batch * corrected;
                }
            }
        }
    }
    return cropped(std::move(result), a.size(), b.size());
}

std::vector<Eigen::MatrixXd> permuted_gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                    const std::vector<std::vector<Index>>& places, bool upper) {
    const Index n = order.rows();
    std::vector<RowRun> segments;
    for (Index begin = 0; begin < n; begin += kSegment) segments.push_back({begin, std::min(kSegment, n - begin), 0});
    std::vector<Eigen::MatrixXd> result(places.size(), Eigen::MatrixXd::Zero(static_cast<Index>(a.size()),
                                                                            static_cast<Index>(b.size())));
    const std::size_t gram_bytes = static_cast<std::size_t>(n * n) * sizeof(double);
    const bool kept = b.front()->form == KernelForm::gram;
    const std::size_t at_once = kept ? kPairTile : std::clamp<std::size_t>(kPermutedBytes / gram_bytes, 1, kPairTile);

    for (std::size_t first = 0; first < b.size(); first += at_once) {
        const std::size_t count = std::min(at_once, b.size() - first);
        // The pair tile may hold fewer than 24 blocks of b; where they stand in it does not matter to their bits.
        const std::size_t rows = upper ? std::min(a.size(), first + count) : a.size();
        PairSums sums{tiles(rows), 1, false};
        std::vector<std::vector<double>> workspaces(count);
        std::vector<const double*> grams(count);
        for (std::size_t k = 0; k < count; ++k) grams[k] = b[first + k]->whole(order, workspaces[k]);
        std::vector<Eigen::MatrixXd> total(places.size(), zeros(sums));
        Panel panel_a;
        Panel panel_b;
        for (std::size_t i = 0; i < segments.size(); ++i) {
            for (std::size_t j = i; j < segments.size(); ++j) {
                const RowRun& s = segments[i];
                const RowRun& t = segments[j];
                const Index length = s.count * t.count;
                const double weight = i == j ? 1 : 2;
                if (panel_a.rows() != length) {
                    panel_a = Panel::Zero(length, sums.tiles_a * kPairTile);
                    panel_b = Panel::Zero(length, kPairTile);
                }
                for (std::size_t k = 0; k < rows; ++k) a[k]->tile(s, t, panel_a.col(static_cast<Index>(k)).data());
                for (std::size_t permutation = 0; permutation < places.size(); ++permutation) {
                    const Index* place = places[permutation].data();
                    for (std::size_t k = 0; k < count; ++k) {
                        double* out = panel_b.col(static_cast<Index>(k)).data();
                        for (Index row = 0; row < s.count; ++row) {
                            const double* gram_row = grams[k] + place[s.begin + row] * n;
                            for (Index column = 0; column < t.count; ++column) *out++ = gram_row[place[t.begin + column]];
                        }
                    }
                    sums.each(panel_a, panel_b, [&](Index row, Index column) {
                        total[permutation].block(row, column, kPairTile, kPairTile) += weight * sums.product;
                    });
                }
            }
        }
        for (std::size_t permutation = 0; permutation < places.size(); ++permutation) {
            result[permutation].block(0, static_cast<Index>(first), static_cast<Index>(rows), static_cast<Index>(count)) =
                total[permutation].topLeftCorner(static_cast<Index>(rows), static_cast<Index>(count));
        }
    }
    return result;
}

}  // namespace cmsweep
