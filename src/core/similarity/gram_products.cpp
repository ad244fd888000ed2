#include "gram_products.hpp"

#include <algorithm>

namespace cmsweep {
namespace {

/// Memory for whole Gram matrices while their blocks are permuted, and for their permuted strips.
constexpr std::size_t kPermutedBytes = std::size_t{3} << 28;
constexpr std::size_t kStripBytes = std::size_t{1} << 29;

Index tiles(std::size_t count) { return (static_cast<Index>(count) + kPairTile - 1) / kPairTile; }

/// Flattened tiles of some blocks, one a column, padded to whole pair tiles by columns whose contents reach nothing that
/// is used. Columns lie 8 numbers further apart than needed: at a power of two they would share lines of the cache.
class Panel {
public:
    void reshape(Index rows, Index columns) {
        rows_ = rows;
        if (numbers_.size() < (rows + 8) * columns) numbers_.setZero((rows + 8) * columns);
    }
    double* column(Index k) { return numbers_.data() + k * (rows_ + 8); }
    /// Rows [first, first + count) of the columns of one pair tile.
    auto part(Index first, Index count, Index tile) const {
        return Eigen::Map<const Eigen::MatrixXd, 0, Eigen::OuterStride<>>(
            numbers_.data() + tile * kPairTile * (rows_ + 8) + first, count, kPairTile, Eigen::OuterStride<>(rows_ + 8));
    }

private:
    Index rows_ = 0;
    Eigen::VectorXd numbers_;
};

/// The pair tiles that hold a wanted entry, and the products over them.
class PairTiles {
public:
    PairTiles(const EntryMask& wanted) : rows_(tiles(wanted.rows())), columns_(tiles(wanted.cols())) {
        for (Index i = 0; i < rows_; ++i) {
            for (Index j = 0; j < columns_; ++j) {
                const Index row = i * kPairTile;
                const Index column = j * kPairTile;
                const auto entries = wanted.block(row, column, std::min(kPairTile, wanted.rows() - row),
                                                  std::min(kPairTile, wanted.cols() - column));
                if (entries.any()) wanted_.push_back({i, j});
            }
        }
    }

    Eigen::MatrixXd zeros() const { return Eigen::MatrixXd::Zero(rows_ * kPairTile, columns_ * kPairTile); }
    Index padded_rows() const { return rows_ * kPairTile; }
    Index padded_columns() const { return columns_ * kPairTile; }

    /// use(sums' block, product) for every wanted pair tile: inner products over `count` rows of the panels.
    template <typename Use>
    void each(const Panel& a, Index first_a, const Panel& b, Index first_b, Index count, Use use) {
        for (const auto& [i, j] : wanted_) {
            product_.noalias() = a.part(first_a, count, i).transpose() * b.part(first_b, count, j);
            use(i * kPairTile, j * kPairTile, product_);
        }
    }

private:
    Index rows_;
    Index columns_;
    std::vector<std::pair<Index, Index>> wanted_;
    Eigen::MatrixXd product_{kPairTile, kPairTile};
};

void add(Eigen::MatrixXd& sum, Index row, Index column, double weight, const Eigen::MatrixXd& product) {
    sum.block<kPairTile, kPairTile>(row, column) += weight * product;
}

Index rows_of(std::span<const RowRun> band) { return band.back().begin + band.back().count - band.front().begin; }

bool streamed(const KernelBlocks& a, const KernelBlocks& b) {
    const auto formed = [](const KernelBlock* block) { return block->form != KernelForm::gram; };
    return std::any_of(a.begin(), a.end(), formed) || std::any_of(b.begin(), b.end(), formed);
}

}  // namespace

std::vector<Eigen::MatrixXd> gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                           bool deletions, const EntryMask& wanted,
                                           const std::function<void()>& safe_point) {
    PairTiles pairs(wanted);
    const bool same_blocks = a == b;
    const int groups = order.groups();
    const int all = groups;
    std::vector<Eigen::MatrixXd> result(static_cast<std::size_t>(groups) + 1);
    for (int g = deletions ? 0 : all; g <= all; ++g) result[g] = pairs.zeros();
    const KernelRecipe& recipe = a.front()->recipe;
    const bool several = order.batches.size() > 1;
    // A block without a wanted entry is not read: what stands in its column reaches nothing that is used.
    Eigen::Array<bool, Eigen::Dynamic, 1> needed_a = wanted.rowwise().any();
    Eigen::Array<bool, Eigen::Dynamic, 1> needed_b = wanted.colwise().any().transpose();
    if (same_blocks) needed_a = needed_a || needed_b;
    Panel panel_a;
    Panel panel_b;
    TileMemory memory;

    for (const auto& batch : order.batches) {
        // sum G.H over the batch, and the part of it in which group g takes part
        Eigen::MatrixXd total = pairs.zeros();
        std::vector<Eigen::MatrixXd> part(static_cast<std::size_t>(groups));
        if (deletions) {
            for (const auto& run : batch.runs) part[run.group] = pairs.zeros();
        }
        const auto all_bands = bands(batch, streamed(a, b));
        for (std::size_t i = 0; i < all_bands.size(); ++i) {
            for (std::size_t j = i; j < all_bands.size(); ++j) {
                if (safe_point) safe_point();
                const auto fill = [&](const KernelBlocks& blocks, const auto& needed, Index columns, Panel& panel) {
                    panel.reshape(rows_of(all_bands[i]) * rows_of(all_bands[j]), columns);
                    for (std::size_t k = 0; k < blocks.size(); ++k) {
                        const auto column = static_cast<Index>(k);
                        if (needed(column)) blocks[k]->tiles(all_bands[i], all_bands[j], panel.column(column), memory);
                    }
                };
                fill(a, needed_a, pairs.padded_rows(), panel_a);
                if (!same_blocks) fill(b, needed_b, pairs.padded_columns(), panel_b);
                Index first = 0;
                for (const auto& s : all_bands[i]) {
                    for (const auto& t : all_bands[j]) {
                        if (t.begin < s.begin) continue;
                        const double weight = s.begin == t.begin ? 1 : 2;  // the tile below the diagonal is the mirror image
                        pairs.each(panel_a, first, same_blocks ? panel_a : panel_b, first, s.count * t.count,
                                   [&](Index row, Index column, const Eigen::MatrixXd& product) {
                                       add(total, row, column, weight, product);
                                       if (!deletions) return;
                                       add(part[s.group], row, column, weight, product);
                                       if (t.group != s.group) add(part[t.group], row, column, weight, product);
                                   });
                        first += s.count * t.count;
                    }
                }
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
            Eigen::VectorXd sum_a = Eigen::VectorXd::Zero(pairs.padded_rows());
            Eigen::VectorXd sum_b = Eigen::VectorXd::Zero(pairs.padded_columns());
            const auto fill = [&](const KernelBlocks& blocks, Panel& panel, Eigen::VectorXd& sum) {
                panel.reshape(batch.count, sum.size());
                for (std::size_t k = 0; k < blocks.size(); ++k) {
                    const Eigen::VectorXd kept_sums = blocks[k]->scale * blocks[k]->kept_sums(order, batch, g);
                    Eigen::Map<Eigen::VectorXd>(panel.column(static_cast<Index>(k)), batch.count) = kept_sums;
                    // Summed in memory of its own: Eigen's order of summation follows the address modulo 16.
                    sum(static_cast<Index>(k)) = kept_sums.sum();
                }
            };
            fill(a, panel_a, sum_a);
            fill(b, panel_b, sum_b);
            Eigen::MatrixXd kept_sum = total - part[g];
            pairs.each(panel_a, 0, panel_b, 0, batch.count, [&](Index row, Index column, const Eigen::MatrixXd& product) {
                add(kept_sum, row, column, -weights.rows, product);
            });
            kept_sum += weights.total * (sum_a * sum_b.transpose());
            result[g] += weights.batch * kept_sum;
        }
    }
    for (auto& matrix : result) {
        if (matrix.size() > 0) matrix.conservativeResize(wanted.rows(), wanted.cols());
    }
    return result;
}

std::vector<Eigen::MatrixXd> permuted_gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                    const std::vector<std::vector<Index>>& places, const EntryMask& wanted,
                                                    const std::function<void()>& safe_point) {
    const Index n = order.rows();
    const auto& segments = order.batches.front().segments;
    std::vector<Eigen::MatrixXd> result(places.size(), Eigen::MatrixXd::Zero(wanted.rows(), wanted.cols()));
    if (places.empty()) return result;
    const std::size_t at_once = std::clamp<std::size_t>(kPermutedBytes / (static_cast<std::size_t>(n * n) * sizeof(double)), 1, kPairTile);
    const auto strips_at_once = static_cast<Index>(kStripBytes / (static_cast<std::size_t>(kSegmentRows * n * kPairTile) * sizeof(double)));
    const auto permutations = static_cast<Index>(places.size());

    std::vector<Eigen::VectorXd> grams(std::min(at_once, b.size()));
    for (std::size_t first = 0; first < b.size(); first += at_once) {
        // The pair tile may hold fewer than 24 blocks of b; where they stand in it does not matter to their bits.
        const auto count = static_cast<Index>(std::min(at_once, b.size() - first));
        const auto from = static_cast<Index>(first);
        const EntryMask entries = wanted.middleCols(from, count);
        if (!entries.any()) continue;
        PairTiles pairs(entries);
        for (Index k = 0; k < count; ++k) {
            grams[static_cast<std::size_t>(k)].resize(n * n);
            b[first + static_cast<std::size_t>(k)]->whole(order, grams[static_cast<std::size_t>(k)].data());
        }
        std::vector<Eigen::MatrixXd> total(places.size(), pairs.zeros());
        Panel panel_a;
        TileMemory memory;
        std::vector<Panel> strips(static_cast<std::size_t>(std::clamp<Index>(strips_at_once, 1, permutations)));
        const auto step = static_cast<Index>(strips.size());
        for (Index q = 0; q < permutations; q += step) {
            const Index last = std::min(permutations, q + step);
            for (std::size_t i = 0; i < segments.size(); ++i) {
                if (safe_point) safe_point();
                const RowRun& s = segments[i];
                // Each permuted row of G is read once, from its segment's columns on, into the strip's tiles.
                for (Index permutation = q; permutation < last; ++permutation) {
                    const Index* place = places[static_cast<std::size_t>(permutation)].data();
                    Panel& strip = strips[static_cast<std::size_t>(permutation - q)];
                    strip.reshape(s.count * (n - s.begin), kPairTile);
                    for (Index k = 0; k < count; ++k) {
                        for (Index row = 0; row < s.count; ++row) {
                            const double* gram_row = grams[static_cast<std::size_t>(k)].data() + place[s.begin + row] * n;
                            for (std::size_t j = i; j < segments.size(); ++j) {
                                const RowRun& t = segments[j];
                                double* out = strip.column(k) + s.count * (t.begin - s.begin) + row * t.count;
                                for (Index column = 0; column < t.count; ++column) out[column] = gram_row[place[t.begin + column]];
                            }
                        }
                    }
                }
                for (std::size_t j = i; j < segments.size(); ++j) {
                    const RowRun& t = segments[j];
                    const Index length = s.count * t.count;
                    panel_a.reshape(length, pairs.padded_rows());
                    for (Index row = 0; row < wanted.rows(); ++row) {
                        if (entries.row(row).any()) a[static_cast<std::size_t>(row)]->tiles({&s, 1}, {&t, 1}, panel_a.column(row), memory);
                    }
                    for (Index permutation = q; permutation < last; ++permutation) {
                        const Panel& strip = strips[static_cast<std::size_t>(permutation - q)];
                        pairs.each(panel_a, 0, strip, s.count * (t.begin - s.begin), length,
                                   [&](Index row, Index column, const Eigen::MatrixXd& product) {
                                       add(total[static_cast<std::size_t>(permutation)], row, column, i == j ? 1 : 2, product);
                                   });
                    }
                }
            }
        }
        for (Index permutation = 0; permutation < permutations; ++permutation) {
            result[static_cast<std::size_t>(permutation)].middleCols(from, count) =
                total[static_cast<std::size_t>(permutation)].topLeftCorner(wanted.rows(), count);
        }
    }
    return result;
}

}  // namespace cmsweep
