#include "gram_products.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "in_parallel.hpp"

namespace cmsweep {
namespace {

/// Memory for whole Gram matrices while their blocks are permuted, and for their permuted strips.
constexpr std::size_t kPermutedBytes = std::size_t{3} << 28;
constexpr std::size_t kStripBytes = std::size_t{1} << 29;

Index whole_tiles(Index count, Index of) { return (count + of - 1) / of * of; }

/// Copying a number into a panel takes about as long as so many multiply-adds.
constexpr Index kCopy = 8;

/// kStripRows x kStripColumns entries, which one thread forms at a time.
using Strip = Eigen::Matrix<double, kStripRows, kStripColumns>;

/// Inner products over `count` rows of the panels, from first_a and first_b on.
Strip product(const Panel& a, Index row, Index first_a, const Panel& b, Index column, Index first_b, Index count) {
    Strip sums = Strip::Zero();
    add_tile_product(a.at(first_a, row), b.at(first_b, column), count, sums.data());
    return sums;
}

void add(Eigen::MatrixXd& sum, Index row, Index column, double weight, const Strip& product) {
    sum.block<kStripRows, kStripColumns>(row, column) += weight * product;
}

/// The strips that hold a wanted entry.
class WantedStrips {
public:
    explicit WantedStrips(const EntryMask& wanted)
        : rows_(whole_tiles(wanted.rows(), kStripRows)), columns_(whole_tiles(wanted.cols(), kStripColumns)) {
        for (Index column = 0; column < columns_; column += kStripColumns) {
            for (Index row = 0; row < rows_; row += kStripRows) {
                const auto entries = wanted.block(row, column, std::min(kStripRows, wanted.rows() - row),
                                                  std::min(kStripColumns, wanted.cols() - column));
                if (entries.any()) places_.push_back({row, column});
            }
        }
    }

    Eigen::MatrixXd zeros() const { return Eigen::MatrixXd::Zero(rows_, columns_); }
    Index rows() const { return rows_; }
    Index columns() const { return columns_; }
    Index count() const { return static_cast<Index>(places_.size()); }
    /// First row and column of one.
    std::pair<Index, Index> place(Index strip) const { return places_[static_cast<std::size_t>(strip)]; }

private:
    Index rows_;
    Index columns_;
    std::vector<std::pair<Index, Index>> places_;
};

/// Fills panels with the tiles of many blocks.
class TileColumns {
public:
    /// A block that is not needed is not read: its column is 0.
    template <typename Needed>
    void fill(const KernelBlocks& blocks, const Needed& needed, std::span<const RowRun> s, std::span<const RowRun> t, Index numbers,
              Panel& panel) {
        const auto count = static_cast<Index>(blocks.size());
        panel.reshape(numbers, count);
        const Index each = blocks.front()->form == KernelForm::gram ? kCopy : blocks.front()->p;
        in_parallel(whole_tiles(count, kStripColumns) / kStripColumns, kStripColumns * numbers * each, [&](Index eight, int thread) {
            const Index first = eight * kStripColumns;
            auto& [memory, formed] = memory_[static_cast<std::size_t>(thread)];
            std::array<const double*, kStripColumns> sources{};
            for (Index c = 0; c < std::min(kStripColumns, count - first); ++c) {
                if (!needed(first + c)) continue;
                const auto place = static_cast<std::size_t>(c);
                sources[place] = blocks[static_cast<std::size_t>(first + c)]->tiles(s, t, memory);
                if (sources[place] == memory.tiles.data()) memory.tiles.swap(formed[place]);  // the next one needs the memory
            }
            panel.interleave(0, first, sources, numbers);
        });
    }

private:
    struct Memory {
        TileMemory tile;
        std::array<Eigen::VectorXd, kStripColumns> formed;
    };
    std::vector<Memory> memory_ = std::vector<Memory>(static_cast<std::size_t>(parallel_threads()));
};

Index rows_of(std::span<const RowRun> band) { return band.back().begin + band.back().count - band.front().begin; }

}  // namespace

std::vector<Eigen::MatrixXd> gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                           bool deletions, bool streamed, const EntryMask& wanted,
                                           const SafePoint& safe_point) {
    const WantedStrips strips(wanted);
    const bool same_blocks = a == b;
    const int groups = order.groups();
    const int all = groups;
    std::vector<Eigen::MatrixXd> result(static_cast<std::size_t>(groups) + 1);
    for (int g = deletions ? 0 : all; g <= all; ++g) result[g] = strips.zeros();
    const KernelRecipe& recipe = a.front()->recipe;
    const bool several = order.batches.size() > 1;
    Eigen::Array<bool, Eigen::Dynamic, 1> needed_a = wanted.rowwise().any();
    Eigen::Array<bool, Eigen::Dynamic, 1> needed_b = wanted.colwise().any().transpose();
    if (same_blocks) needed_a = needed_a || needed_b;
    Panel panel_a;
    Panel panel_b;
    const Panel& factor_b = same_blocks ? panel_a : panel_b;
    TileColumns columns;

    for (const auto& batch : order.batches) {
        // sum G.H over the batch, and the part of it in which group g takes part
        Eigen::MatrixXd total = strips.zeros();
        std::vector<Eigen::MatrixXd> part(static_cast<std::size_t>(groups));
        if (deletions) {
            for (const auto& run : batch.runs) part[run.group] = strips.zeros();
        }
        const auto all_bands = bands(batch, streamed);
        for (std::size_t i = 0; i < all_bands.size(); ++i) {
            for (std::size_t j = i; j < all_bands.size(); ++j) {
                if (safe_point) safe_point();
                const Index numbers = rows_of(all_bands[i]) * rows_of(all_bands[j]);
                columns.fill(a, needed_a, all_bands[i], all_bands[j], numbers, panel_a);
                if (!same_blocks) columns.fill(b, needed_b, all_bands[i], all_bands[j], numbers, panel_b);
                in_parallel(strips.count(), Strip::SizeAtCompileTime * numbers, [&](Index strip, int) {
                    const auto [row, column] = strips.place(strip);
                    Index first = 0;
                    for (const auto& s : all_bands[i]) {
                        for (const auto& t : all_bands[j]) {
                            if (t.begin < s.begin) continue;
                            const double weight = s.begin == t.begin ? 1 : 2;  // the tile below the diagonal is the mirror image
                            const Strip sums = product(panel_a, row, first, factor_b, column, first, s.count * t.count);
                            first += s.count * t.count;
                            add(total, row, column, weight, sums);
                            if (!deletions) continue;
                            add(part[s.group], row, column, weight, sums);
                            if (t.group != s.group) add(part[t.group], row, column, weight, sums);
                        }
                    }
                });
            }
        }
        result[all] += centring_weights(recipe, batch.count, several).batch * total;
        if (!deletions) continue;
        const auto batch_number = static_cast<std::size_t>(&batch - order.batches.data());
        for (int g = 0; g < groups; ++g) {
            if (safe_point) safe_point();
            const auto run = std::find_if(batch.runs.begin(), batch.runs.end(), [&](const RowRun& r) { return r.group == g; });
            const Index kept = batch.count - (run == batch.runs.end() ? 0 : run->count);
            if (kept < fewest_rows(recipe)) continue;
            const CentringWeights weights = centring_weights(recipe, kept, several);
            if (run == batch.runs.end()) {
                result[g] += weights.batch * total;
                continue;
            }
            Eigen::VectorXd sum_a = Eigen::VectorXd::Zero(strips.rows());
            Eigen::VectorXd sum_b = Eigen::VectorXd::Zero(strips.columns());
            const auto run_number = static_cast<std::size_t>(run - batch.runs.begin());
            const auto fill = [&](const KernelBlocks& blocks, const auto& needed, Panel& panel, Eigen::VectorXd& sum) {
                const auto count = static_cast<Index>(blocks.size());
                panel.reshape(batch.count, count);
                in_parallel(whole_tiles(count, kStripColumns) / kStripColumns, kStripColumns * batch.count * kCopy, [&](Index eight, int) {
                    const Index first = eight * kStripColumns;
                    std::array<Eigen::VectorXd, kStripColumns> kept_sums;
                    std::array<const double*, kStripColumns> sources{};
                    for (Index c = 0; c < std::min(kStripColumns, count - first); ++c) {
                        if (!needed(first + c)) continue;
                        const auto place = static_cast<std::size_t>(c);
                        const KernelBlock& block = *blocks[static_cast<std::size_t>(first + c)];
                        kept_sums[place] = block.scale * block.kept_sums(order, batch_number, run_number);
                        sources[place] = kept_sums[place].data();
                        // Summed in memory of its own: Eigen's order of summation follows the address modulo 16.
                        sum(first + c) = kept_sums[place].sum();
                    }
                    panel.interleave(0, first, sources, batch.count);
                });
            };
            fill(a, needed_a, panel_a, sum_a);
            fill(b, needed_b, panel_b, sum_b);
            Eigen::MatrixXd kept_sum = total - part[g];
            in_parallel(strips.count(), Strip::SizeAtCompileTime * batch.count, [&](Index strip, int) {
                const auto [row, column] = strips.place(strip);
                add(kept_sum, row, column, -weights.rows, product(panel_a, row, 0, panel_b, column, 0, batch.count));
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
                                                    const PlacePermutations& all, const EntryMask& wanted,
                                                    const SafePoint& safe_point) {
    const Index n = order.rows();
    const auto& segments = order.batches.front().segments;
    std::vector<std::vector<Index>> places;
    for (std::size_t k = 0; k < all.count(); ++k) places.push_back(all[k]);
    std::vector<Eigen::MatrixXd> result(places.size(), Eigen::MatrixXd::Zero(wanted.rows(), wanted.cols()));
    if (places.empty()) return result;
    const std::size_t at_once = std::clamp<std::size_t>(kPermutedBytes / (static_cast<std::size_t>(n * n) * sizeof(double)), 1, kStripRows);
    const auto strips_at_once = static_cast<Index>(kStripBytes / (static_cast<std::size_t>(kSegmentRows * n * kStripRows) * sizeof(double)));
    const auto permutations = static_cast<Index>(places.size());

    std::vector<Eigen::VectorXd> grams(std::min(at_once, b.size()));
    TileColumns columns;
    Panel panel_a;
    std::vector<Panel> permuted(static_cast<std::size_t>(std::clamp<Index>(strips_at_once, 1, permutations)));
    const auto step = static_cast<Index>(permuted.size());
    for (std::size_t first = 0; first < b.size(); first += at_once) {
        // There may be fewer than kStripRows blocks of b; where they stand among them does not matter to their bits.
        const auto count = static_cast<Index>(std::min(at_once, b.size() - first));
        const auto from = static_cast<Index>(first);
        const EntryMask entries = wanted.middleCols(from, count);
        if (!entries.any()) continue;
        const WantedStrips strips(entries);
        const Eigen::Array<bool, Eigen::Dynamic, 1> needed = entries.rowwise().any();
        in_parallel(count, n * n * kCopy, [&](Index k, int) {
            grams[static_cast<std::size_t>(k)].resize(n * n);
            b[first + static_cast<std::size_t>(k)]->whole(order, grams[static_cast<std::size_t>(k)].data());
        });
        const Index eights = whole_tiles(count, kStripColumns) / kStripColumns;
        std::vector<Eigen::MatrixXd> total(places.size(), strips.zeros());
        for (Index q = 0; q < permutations; q += step) {
            const Index together = std::min(permutations, q + step) - q;
            for (std::size_t i = 0; i < segments.size(); ++i) {
                if (safe_point) safe_point();
                const RowRun& s = segments[i];
                // Each permuted row of G is read once, from its segment's columns on, into the panel's tiles.
                for (Index k = 0; k < together; ++k) permuted[static_cast<std::size_t>(k)].reshape(s.count * (n - s.begin), count);
                in_parallel(together * eights, kStripColumns * s.count * (n - s.begin) * kCopy, [&](Index piece, int) {
                    const Index* place = places[static_cast<std::size_t>(q + piece / eights)].data();
                    Panel& panel = permuted[static_cast<std::size_t>(piece / eights)];
                    const Index column = piece % eights * kStripColumns;
                    std::array<const double*, kStripColumns> gram_rows{};
                    for (Index row = 0; row < s.count; ++row) {
                        for (Index c = 0; c < kStripColumns; ++c) {  // behind the last block: any one of them again
                            const Index block = std::min(column + c, count - 1);
                            gram_rows[static_cast<std::size_t>(c)] = grams[static_cast<std::size_t>(block)].data() + place[s.begin + row] * n;
                        }
                        for (std::size_t j = i; j < segments.size(); ++j) {
                            const RowRun& t = segments[j];
                            double* out = panel.at(s.count * (t.begin - s.begin) + row * t.count, column);
                            for (Index at = t.begin; at < t.begin + t.count; ++at, out += kStripRows) {
                                for (std::size_t c = 0; c < kStripColumns; ++c) out[c] = gram_rows[c][place[at]];
                            }
                        }
                    }
                });
                for (std::size_t j = i; j < segments.size(); ++j) {
                    const RowRun& t = segments[j];
                    const Index length = s.count * t.count;
                    columns.fill(a, needed, {&s, 1}, {&t, 1}, length, panel_a);
                    in_parallel(together * strips.count(), Strip::SizeAtCompileTime * length, [&](Index piece, int) {
                        const Index k = piece / strips.count();
                        const auto [row, column] = strips.place(piece % strips.count());
                        add(total[static_cast<std::size_t>(q + k)], row, column, i == j ? 1 : 2,
                            product(panel_a, row, 0, permuted[static_cast<std::size_t>(k)], column, s.count * (t.begin - s.begin), length));
                    });
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
