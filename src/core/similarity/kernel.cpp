#include "kernel.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "cross_covariance.hpp"
#include "gram_products.hpp"
#include "in_parallel.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

constexpr Index kKeptRows = 1024;         // Gram matrices up to kKeptRows^2 numbers stay in memory
constexpr Index kGramToFeatures = 8;      // Gram form up to n = 8 p
constexpr Index kMostGramRows = 16384;   // of a Gram matrix that is held whole: 2 GiB
constexpr Index kStreamedRows = 128;      // rows of a product when tiles are formed on demand
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// Inner products of kStripColumns rows of x from `i` on with kStripRows of y from `j` on, into `out`; panels hold the rows.
void row_products(const Panel& x, Index i, const Panel& y, Index j, Index p, RowMajorMatrix& out) {
    Eigen::Matrix<double, kStripColumns, kStripRows, Eigen::RowMajor> product;
    product.setZero();
    add_tile_product(y.at(0, j), x.at(0, i), p, product.data());
    const Index rows = std::min(kStripColumns, out.rows() - i);
    const Index columns = std::min(kStripRows, out.cols() - j);
    out.block(i, j, rows, columns) = product.topLeftCorner(rows, columns);
}

bool in_batches(const KernelRecipe& recipe, Index rows) { return recipe.batch_rows > 0 && recipe.batch_rows < rows; }

}  // namespace

KernelForm kernel_form(Index n, Index p, const KernelRecipe& recipe) {
    if (recipe.form) return *recipe.form;
    const bool batches = in_batches(recipe, n);
    const Index most = std::min(kGramToFeatures * p, kMostGramRows);
    if (recipe.function == KernelRecipe::Function::linear && !batches && n > most) return KernelForm::features;
    return n * (batches ? recipe.batch_rows : n) <= kKeptRows * kKeptRows ? KernelForm::gram : KernelForm::streamed;
}

Index fewest_rows(const KernelRecipe& recipe) { return recipe.unbiased ? 4 : 2; }

CentringWeights centring_weights(const KernelRecipe& recipe, Index m, bool several_batches) {
    const double rows = static_cast<double>(m);
    const double batch = several_batches ? 1 / (rows * (rows - 3)) : 1;
    if (recipe.unbiased) return {2 / (rows - 2), 1 / ((rows - 1) * (rows - 2)), batch};
    return {2 / rows, 1 / (rows * rows), batch};
}

KernelBlock::KernelBlock(const Features& input, const ProbeLayout& layout, const KernelRecipe& block_recipe,
                         const SafePoint& safe_point)
    : recipe(block_recipe) {
    check_features(input, layout, safe_point);
    const RowOrder order(layout, recipe.batch_rows);
    n = order.rows();
    p = input.cols();
    batched = in_batches(recipe, layout.rows());
    form = kernel_form(layout.rows(), p, recipe);
    const Index batch_rows = order.batches.front().count;
    if (batch_rows < fewest_rows(recipe)) {
        throw NumericError("n = " + std::to_string(batch_rows) + " rows: " +
                           (recipe.unbiased ? "an unbiased form" : "this metric") + " needs at least " +
                           std::to_string(fewest_rows(recipe)) + "; raise similarity.windows");
    }
    if (recipe.function == KernelRecipe::Function::rbf && n > kMostRbfRows) {
        throw NumericError("n = " + std::to_string(n) + " rows: cka_rbf needs all pairs of rows and takes at most " +
                           std::to_string(kMostRbfRows) + "; use pooling = \"mean\", fewer windows, or cka_minibatch");
    }
    content = features_id(input, safe_point);
    features = input;
    source_ = order.source;
    centre_ = column_centre(features, safe_point);
    prepare(order, layout, true, safe_point);
}

void KernelBlock::prepare(const RowOrder& order, const ProbeLayout& layout, bool deletions, const SafePoint& safe_point) {
    squares.resize(n);
    RowMajorMatrix one(1, p);
    for (Index place = 0; place < n; ++place) {
        if (safe_point && place % kStreamedRows == 0) safe_point();
        centred(&place, 1, one);
        squares(place) = one.row(0).squaredNorm();
    }
    const double variation = squares.sum();
    if (!std::isfinite(variation)) throw NumericError("features overflow: the sum of their squares is not finite");
    if (variation == 0) {
        throw NumericError("all n = " + std::to_string(n) + " rows are equal (constant features): similarity is undefined");
    }
    if (recipe.function == KernelRecipe::Function::linear) {
        const Index place = dominant_row(squares, &dominant_share);
        if (place >= 0) dominant = source_[place];
    } else {
        choose_bandwidth(order, safe_point);
    }
    choose_offsets(order, safe_point);
    if (form == KernelForm::features) {
        figures_from_features(order, layout, safe_point);
    } else {
        if (form == KernelForm::gram) fill_gram(order);
        figures_from_tiles(order, layout, deletions, safe_point);
    }

    const double norm_square = self(self.size() - 1);
    const double largest = recipe.function == KernelRecipe::Function::linear ? variation : static_cast<double>(n);
    const double batch_weight = centring_weights(recipe, order.batches.front().count, order.batches.size() > 1).batch;
    if (!(norm_square > batch_weight * largest * largest * 1e-24)) {
        throw NumericError("the centred Gram matrix is zero to rounding (rows at equal distances from each other): "
                           "similarity is undefined");
    }
    scale = 1 / std::sqrt(norm_square);
    self *= scale * scale;
    self(self.size() - 1) = 1;
    trace *= scale;
    windows.within *= scale;
    windows.between *= scale;
    gram_ *= scale;
    if (form == KernelForm::gram) {
        squares.resize(0);
        if (!batched) features = {};
    }
}

KernelBlock KernelBlock::with_rows(const std::vector<Index>& rows, const RowOrder& order, const ProbeLayout& layout,
                                   const SafePoint& safe_point) const {
    KernelBlock block;
    block.recipe = recipe;
    block.form = form;
    block.n = n;
    block.p = p;
    block.batched = batched;
    block.features = features;
    block.centre_ = centre_;
    block.source_.resize(order.source.size());
    for (std::size_t i = 0; i < block.source_.size(); ++i) block.source_[i] = rows[order.source[i]];
    block.prepare(order, layout, false, safe_point);
    return block;
}

std::size_t KernelBlock::bytes() const {
    Index numbers = gram_.size() + kept_rows.size() + self.size() + windows.within.size() + windows.between.size() + squares.size() + offset_.size();
    for (const auto& sums : kept_sums_) numbers += sums.size();
    const Index read_often = form == KernelForm::features ? 0 : features.size();
    return static_cast<std::size_t>(numbers) * sizeof(double) + source_.size() * sizeof(Index) +
           static_cast<std::size_t>(read_often) * sizeof(float);
}

void KernelBlock::centred(const Index* places, Index count, RowMajorMatrix& out) const {
    out.resize(count, p);
    for (Index i = 0; i < count; ++i) centred_row(features, centre_, source_[places[i]], out.data() + i * p);
}

double KernelBlock::kernel(double product, double square_i, double square_j) const {
    if (recipe.function == KernelRecipe::Function::linear) return product;
    return std::exp(-exponent_ * std::max(0.0, square_i + square_j - 2 * product));
}

/// Inner products of the centred rows at places [begin_s, begin_s + count_s) with those of t, into memory.products.
void KernelBlock::products(Index begin_s, Index count_s, Index begin_t, Index count_t, TileMemory& memory) const {
    auto& places = memory.places;
    const auto interleaved = [&](Index begin, Index count, Panel& panel) {
        places.resize(static_cast<std::size_t>(count));
        std::iota(places.begin(), places.end(), begin);
        centred(places.data(), count, memory.x);
        interleave_rows(memory.x, panel);
    };
    interleaved(begin_s, count_s, memory.panel_x);
    interleaved(begin_t, count_t, memory.panel_y);
    memory.products.setZero(count_s, count_t);
    add_product(memory.panel_y, memory.panel_x, 0, p, memory.products.transpose());
}

/// Calls f(row, column, product) for every two different places row < column of a batch.
template <typename Products, typename Use>
void each_pair(const RowBatch& batch, const SafePoint& safe_point, Products products, Use use) {
    TileMemory memory;
    for (Index s = batch.begin; s < batch.begin + batch.count; s += kStreamedRows) {
        const Index rows = std::min(kStreamedRows, batch.begin + batch.count - s);
        for (Index t = s; t < batch.begin + batch.count; t += kStreamedRows) {
            const Index columns = std::min(kStreamedRows, batch.begin + batch.count - t);
            if (safe_point) safe_point();
            products(s, rows, t, columns, memory);
            for (Index i = 0; i < rows; ++i) {
                for (Index j = s == t ? i + 1 : 0; j < columns; ++j) use(s + i, t + j, memory.products(i, j));
            }
        }
    }
}

/// sigma^2 = f^2 x the median squared distance of two different rows.
void KernelBlock::choose_bandwidth(const RowOrder& order, const SafePoint& safe_point) {
    std::vector<double> distances;
    distances.reserve(static_cast<std::size_t>(n * (n - 1) / 2));
    each_pair(
        order.batches.front(), safe_point, [&](auto&&... arguments) { products(arguments...); },
        [&](Index i, Index j, double product) {
            distances.push_back(std::max(0.0, squares(i) + squares(j) - 2 * product));
        });
    const std::size_t half = distances.size() / 2;
    std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(half), distances.end());
    double median = distances[half];
    if (distances.size() % 2 == 0) {
        median = (median + *std::max_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(half))) / 2;
    }
    if (!(median > squares.maxCoeff() * 1e-24)) {
        throw NumericError("the median distance between rows is 0 (more than half of the pairs are equal): "
                           "cka_rbf has no bandwidth");
    }
    exponent_ = 1 / (2 * recipe.bandwidth * recipe.bandwidth * median);
}

/// u with K_ij + u_i + u_j of zero row sums within each batch (diagonal left out if unbiased).
void KernelBlock::choose_offsets(const RowOrder& order, const SafePoint& safe_point) {
    offset_ = Eigen::VectorXd::Zero(n);
    const bool linear = recipe.function == KernelRecipe::Function::linear;
    if (linear && !recipe.unbiased && !batched) return;  // centred features: nothing to add
    for (const auto& batch : order.batches) {
        const double m = static_cast<double>(batch.count);
        Eigen::VectorXd sums = Eigen::VectorXd::Zero(batch.count);
        if (linear && !batched) {
            sums = -squares;
        } else {
            if (!recipe.unbiased) {
                for (Index i = 0; i < batch.count; ++i) sums(i) = linear ? squares(batch.begin + i) : 1.0;
            }
            each_pair(
                batch, safe_point, [&](auto&&... arguments) { products(arguments...); },
                [&](Index i, Index j, double product) {
                    const double value = kernel(product, squares(i), squares(j));
                    sums(i - batch.begin) += value;
                    sums(j - batch.begin) += value;
                });
        }
        const double total = sums.sum();
        for (Index i = 0; i < batch.count; ++i) {
            // K - r_i/m - r_j/m + S/m^2, or K - r_i/(m-2) - r_j/(m-2) + S/((m-1)(m-2)) (Szekely and Rizzo 2014, eq. 2.5)
            offset_(batch.begin + i) = recipe.unbiased ? -sums(i) / (m - 2) + total / (2 * (m - 1) * (m - 2))
                                                       : -sums(i) / m + total / (2 * m * m);
        }
    }
}

/// The centred Gram matrices, formed on and above the diagonal, then packed.
void KernelBlock::fill_gram(const RowOrder& order) {
    gram_.resize(order.packed);
    RowMajorMatrix x;
    RowMajorMatrix gram;
    Panel panel;
    std::vector<Index> places;
    for (const auto& batch : order.batches) {
        const Index m = batch.count;
        places.resize(static_cast<std::size_t>(m));
        std::iota(places.begin(), places.end(), batch.begin);
        centred(places.data(), m, x);
        interleave_rows(x, panel);
        gram.resize(m, m);
        in_parallel((m + kStripColumns - 1) / kStripColumns, kStripColumns * m * p / 2, [&](Index strip, int) {
            const Index i = strip * kStripColumns;
            for (Index j = i / kStripRows * kStripRows; j < m; j += kStripRows) row_products(panel, i, panel, j, p, gram);
        });
        for (const auto& s : batch.segments) {
            double* out = gram_.data() + s.packed;
            for (const auto& t : batch.segments) {
                if (t.begin >= s.begin) out = centre_tile(s, t, gram, batch.begin, batch.begin, 1, out);
            }
        }
    }
}

/// factor x the centred kernel matrix over s x t into `out`, from the inner products of the rows from begin_s on with
/// those from begin_t on; returns the end. Below the diagonal the products above it are taken.
double* KernelBlock::centre_tile(const RowRun& s, const RowRun& t, const RowMajorMatrix& block, Index begin_s, Index begin_t,
                                 double factor, double* out) const {
    const double* u = offset_.data();
    const bool linear = recipe.function == KernelRecipe::Function::linear;
    for (Index i = s.begin; i < s.begin + s.count; ++i) {
        const double* row = block.data() + (i - begin_s) * block.cols() - begin_t;
        const double u_i = u[i];
        if (s.begin != t.begin && linear) {
            for (Index j = t.begin; j < t.begin + t.count; ++j) *out++ = factor * (row[j] + (u_i + u[j]));
            continue;
        }
        for (Index j = t.begin; j < t.begin + t.count; ++j) {
            const double product = i <= j ? row[j] : block(j - begin_s, i - begin_t);
            const double value = linear ? product : i == j ? 1.0 : kernel(product, squares(i), squares(j));
            *out++ = i == j && recipe.unbiased ? 0.0 : factor * (value + (u_i + u[j]));
        }
    }
    return out;
}

const double* KernelBlock::tiles(std::span<const RowRun> s, std::span<const RowRun> t, TileMemory& memory) const {
    const bool diagonal = s.front().begin == t.front().begin;
    const Index end = t.back().begin + t.back().count;
    const auto kept = [&](const RowRun& row) {
        const Index first = diagonal ? row.begin : t.front().begin;
        return std::span(gram_.data() + row.packed + row.count * (first - row.begin), static_cast<std::size_t>(row.count * (end - first)));
    };
    if (form == KernelForm::gram && s.size() == 1) return kept(s.front()).data();
    const Index begin = s.front().begin;
    const Index rows = s.back().begin + s.back().count - begin;
    const Index numbers = rows * (end - t.front().begin);
    if (memory.tiles.size() < numbers) memory.tiles.resize(numbers);
    double* out = memory.tiles.data();
    if (form == KernelForm::gram) {
        for (const auto& row : s) out = std::copy(kept(row).begin(), kept(row).end(), out);
        return memory.tiles.data();
    }
    products(begin, rows, t.front().begin, end - t.front().begin, memory);
    for (const auto& row : s) {
        for (const auto& column : t) {
            if (column.begin >= row.begin) out = centre_tile(row, column, memory.products, begin, t.front().begin, scale, out);
        }
    }
    return memory.tiles.data();
}

std::vector<std::span<const RowRun>> bands(const RowBatch& batch, bool streamed) {
    std::vector<std::span<const RowRun>> result;
    const std::span<const RowRun> segments(batch.segments);
    for (std::size_t first = 0; first < segments.size();) {
        std::size_t last = first;
        const auto rows = [&] { return segments[last].begin + segments[last].count - segments[first].begin; };
        if (streamed) {
            while (last + 1 < segments.size() && rows() + segments[last + 1].count <= kStreamedRows) ++last;
        }
        result.push_back(segments.subspan(first, last + 1 - first));
        first = last + 1;
    }
    return result;
}

namespace {

/// Calls f(s, t, values) for every tile of a batch on and above the diagonal.
template <typename Use>
void each_tile(const KernelBlock& block, const RowBatch& batch, const SafePoint& safe_point, Use use) {
    const auto all = bands(batch, block.form != KernelForm::gram);
    TileMemory memory;
    for (std::size_t i = 0; i < all.size(); ++i) {
        for (std::size_t j = i; j < all.size(); ++j) {
            if (safe_point) safe_point();
            const double* tile = block.tiles(all[i], all[j], memory);
            for (const auto& s : all[i]) {
                for (const auto& t : all[j]) {
                    if (t.begin < s.begin) continue;
                    use(s, t, tile);
                    tile += s.count * t.count;
                }
            }
        }
    }
}

}  // namespace

void KernelBlock::whole(const RowOrder& order, double* out) const {
    each_tile(*this, order.batches.front(), {}, [&](const RowRun& s, const RowRun& t, const double* tile) {
        for (Index i = s.begin; i < s.begin + s.count; ++i) {
            for (Index j = t.begin; j < t.begin + t.count; ++j, ++tile) {
                out[i * n + j] = *tile;
                out[j * n + i] = *tile;
            }
        }
    });
}

Eigen::VectorXd KernelBlock::kept_sums(const RowOrder& order, std::size_t batch, std::size_t run) const {
    if (form != KernelForm::features) return kept_sums_[batch].col(static_cast<Index>(run));
    // Beside a block that is wide enough for Gram tiles: x_i . (sum of the kept rows), and u_i + u_j over the kept j.
    const int g = order.batches[batch].runs[run].group;
    Eigen::VectorXd sums = Eigen::VectorXd::Zero(n);
    RowMajorMatrix x;
    double kept = 0;
    double total = 0;
    for (Index i = 0; i < n; ++i) {
        if (order.group[i] == g) continue;
        centred(&i, 1, x);
        sums(i) = x.row(0).dot(kept_rows.col(g));
        kept += 1;
        total += offset_(i);
    }
    if (!recipe.unbiased) return sums;
    for (Index i = 0; i < n; ++i) {
        if (order.group[i] != g) sums(i) += (kept - 2) * offset_(i) + total - squares(i);  // the diagonal is left out
    }
    return sums;
}

/// Row sums, self products and the null's block sums, in one pass over the tiles (scale is still 1).
void KernelBlock::figures_from_tiles(const RowOrder& order, const ProbeLayout& layout, bool deletions, const SafePoint& safe_point) {
    const int groups = order.groups();
    const bool several = order.batches.size() > 1;
    if (!batched && layout.rows_per_window > 1) windows = WindowSums::zero(layout);
    const bool blocks = windows.within.size() > 0;
    self = Eigen::VectorXd::Zero(groups + 1);
    for (const auto& batch : order.batches) {
        double total = 0;
        Eigen::VectorXd part = Eigen::VectorXd::Zero(groups);
        Eigen::MatrixXd from_group = Eigen::MatrixXd::Zero(batch.count, groups);  // row sums over each group's columns
        each_tile(*this, batch, safe_point, [&](const RowRun& s, const RowRun& t, const double* tile) {
            const bool diagonal = s.begin == t.begin;
            double* of_rows = from_group.data() + t.group * batch.count + (s.begin - batch.begin);
            double* of_columns = from_group.data() + s.group * batch.count + (t.begin - batch.begin);
            std::array<double, kSegmentRows> column_sums{};
            std::array<double, kSegmentRows> column_squares{};
            for (Index a = 0; a < s.count; ++a) {
                const double* row = tile + a * t.count;
                double sum = 0;
                for (Index b = 0; b < t.count; ++b) {
                    sum += row[b];
                    column_sums[b] += row[b];
                    column_squares[b] += row[b] * row[b];
                }
                of_rows[a] += sum;
                if (diagonal) trace += row[a];
            }
            double square = 0;
            for (Index b = 0; b < t.count; ++b) {
                square += column_squares[b];
                if (!diagonal) of_columns[b] += column_sums[b];
            }
            if (!diagonal) square *= 2;
            total += square;
            part(s.group) += square;
            if (t.group != s.group) part(t.group) += square;
            for (Index a = 0; blocks && a < s.count; ++a) {
                for (Index b = 0; b < t.count; ++b) {
                    const Index row = order.source[s.begin + a];
                    const Index column = order.source[t.begin + b];
                    windows.add(layout, row, column, tile[a * t.count + b]);
                    if (!diagonal) windows.add(layout, column, row, tile[a * t.count + b]);
                }
            }
        });
        self(groups) += centring_weights(recipe, batch.count, several).batch * total;
        if (!deletions) continue;
        Eigen::MatrixXd& kept_sums = kept_sums_.emplace_back(batch.count, static_cast<Index>(batch.runs.size()));
        for (int g = 0; g < groups; ++g) {
            const auto run = std::find_if(batch.runs.begin(), batch.runs.end(), [&](const RowRun& r) { return r.group == g; });
            if (run == batch.runs.end()) {
                self(g) += centring_weights(recipe, batch.count, several).batch * total;
                continue;
            }
            auto sums = kept_sums.col(run - batch.runs.begin());
            sums = -from_group.col(g);  // the whole row sums to 0
            sums.segment(run->begin - batch.begin, run->count).setZero();
            const Index kept = batch.count - run->count;
            if (kept < fewest_rows(recipe)) continue;
            const CentringWeights weights = centring_weights(recipe, kept, several);
            const double sum = sums.sum();
            self(g) += weights.batch * (total - part(g) - weights.rows * sums.squaredNorm() + weights.total * sum * sum);
        }
    }
}

/// The same from the features: K = X X^T, diagonal left out if unbiased.
void KernelBlock::figures_from_features(const RowOrder& order, const ProbeLayout& layout, const SafePoint& safe_point) {
    const Index c = layout.rows_per_window;
    kept_rows = Eigen::MatrixXd::Zero(p, order.groups());
    RowMajorMatrix x;
    for (Index place = 0; place < n; ++place) {
        if (safe_point && place % kStreamedRows == 0) safe_point();
        centred(&place, 1, x);
        kept_rows.col(order.group[place]) -= x.row(0).transpose();  // centred rows sum to 0
    }
    if (!recipe.unbiased) trace = squares.sum();
    self = cross_products(*this, *this, order, true, safe_point);

    if (c == 1) return;
    windows = WindowSums::zero(layout);
    if (windows.within.size() == 0) return;
    RowMajorMatrix sum = RowMajorMatrix::Zero(c, p);
    Panel panel_x;
    std::vector<Index> place_of(static_cast<std::size_t>(n));  // one batch: every row has a place
    for (Index place = 0; place < n; ++place) place_of[order.source[place]] = place;
    for (Index window = 0; window < layout.windows; ++window) {
        if (safe_point) safe_point();
        centred(place_of.data() + window * c, c, x);
        interleave_rows(x, panel_x);
        add_product(panel_x, panel_x, 0, p, windows.within);
        sum += x;
    }
    interleave_rows(sum, panel_x);
    windows.between.setZero();
    add_product(panel_x, panel_x, 0, p, windows.between);
    windows.between -= windows.within;
    if (!recipe.unbiased) return;
    // U-centring adds u_i + u_j off the diagonal and leaves the diagonal out.
    const double w = static_cast<double>(layout.windows);
    Eigen::VectorXd offsets = Eigen::VectorXd::Zero(c);
    for (Index place = 0; place < n; ++place) offsets(order.source[place] % c) += offset_(place);
    for (Index i = 0; i < c; ++i) {
        for (Index j = 0; j < c; ++j) {
            windows.within(i, j) = i == j ? 0 : windows.within(i, j) + offsets(i) + offsets(j);
            windows.between(i, j) += (w - 1) * (offsets(i) + offsets(j));
        }
    }
}

std::shared_ptr<const PreparedBlock> prepare_kernel(const Features& features, const ProbeLayout& layout,
                                                    const KernelRecipe& recipe, const SafePoint& safe_point) {
    return std::make_shared<const KernelBlock>(features, layout, recipe, safe_point);
}

namespace {

KernelBlocks kernel_blocks(const PreparedBlocks& blocks) {
    KernelBlocks result;
    for (const auto& block : blocks) {
        result.push_back(dynamic_cast<const KernelBlock*>(block.get()));
        if (result.back() == nullptr) throw std::invalid_argument("compare: a block was not prepared by a kernel metric");
    }
    return result;
}

/// Exact mean over permutations of whole windows; NaN where there is no formula.
double null_mean(const KernelBlock& a, const KernelBlock& b, const ProbeLayout& layout) {
    if (a.batched) return layout.rows_per_window == 1 ? 0 : kNan;  // U-centred within each batch, whatever rows it holds
    if (layout.windows < 2) return kNan;
    if (layout.rows_per_window == 1) return a.recipe.unbiased ? 0 : a.trace * b.trace / static_cast<double>(layout.windows - 1);
    return mean_over_permutations(a.windows, b.windows, layout);
}

/// Batches are centred by themselves, so windows that change batch change the matrix: it is formed anew.
std::vector<Eigen::MatrixXd> permuted_batch_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                     const ProbeLayout& layout, const ComparisonOptions& options, const EntryMask& wanted) {
    std::vector<Eigen::MatrixXd> result;
    for (const auto& permutation : window_permutations(layout, options.permutations)) {
        const auto rows = permuted_rows(layout, permutation);
        result.emplace_back(static_cast<Index>(a.size()), static_cast<Index>(b.size()));
        for (std::size_t first = 0; first < b.size(); first += kStripRows) {
            const std::size_t count = std::min<std::size_t>(kStripRows, b.size() - first);
            std::vector<KernelBlock> owned;
            owned.reserve(count);
            for (std::size_t k = first; k < first + count; ++k) owned.push_back(b[k]->with_rows(rows, order, layout, options.safe_point));
            KernelBlocks permuted;
            for (const auto& block : owned) permuted.push_back(&block);
            const auto from = static_cast<Index>(first);
            const auto columns = static_cast<Index>(count);
            result.back().middleCols(from, columns) =
                gram_products(a, permuted, order, false, a.front()->form != KernelForm::gram, wanted.middleCols(from, columns), options.safe_point).back();
        }
    }
    return result;
}

}  // namespace

ComparisonResult compare_kernel(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                const ComparisonOptions& options, const EntryMask& wanted_entries) {
    ComparisonResult result(static_cast<Index>(a.size()), static_cast<Index>(b.size()));
    if (a.empty() || b.empty()) return result;
    const KernelBlocks blocks_a = kernel_blocks(a);
    const KernelBlocks blocks_b = kernel_blocks(b);
    const KernelRecipe& recipe = blocks_a.front()->recipe;
    for (const auto* blocks : {&blocks_a, &blocks_b}) {
        for (const auto* block : *blocks) {
            if (block->n != blocks_a.front()->n) throw std::invalid_argument("compare: blocks have different numbers of rows");
        }
    }
    const RowOrder order(layout, recipe.batch_rows);
    const int groups = order.groups();
    const bool deletions = options.interval && groups > 1;
    const EntryMask wanted = complete_mask(wanted_entries, result.value.rows(), result.value.cols());
    add_option_messages(result, options, layout, groups);
    for (std::size_t i = 0; i < a.size(); ++i) {
        result.add_note(dominance_message(blocks_a[i]->dominant, blocks_a[i]->dominant_share), static_cast<Index>(i), -1);
    }
    for (std::size_t j = 0; j < b.size(); ++j) {
        result.add_note(dominance_message(blocks_b[j]->dominant, blocks_b[j]->dominant_share), -1, static_cast<Index>(j));
    }

    const bool batched = blocks_a.front()->batched;
    std::optional<PlacePermutations> permutations;
    if (!batched) permutations.emplace(layout, order, options.permutations);

    // A pair takes the features' form if both blocks have it (their widths may differ), else Gram tiles. Kept tiles are
    // multiplied one by one, formed ones in bands: apart, so that the bits of a pair do not depend on its company.
    const auto pairs_of = [&](KernelForm form) {
        return EntryMask::NullaryExpr(wanted.rows(), wanted.cols(), [&, form](Index i, Index j) {
            return wanted(i, j) && blocks_a[static_cast<std::size_t>(i)]->form == form && blocks_b[static_cast<std::size_t>(j)]->form == form;
        }).eval();
    };
    const EntryMask from_kept = pairs_of(KernelForm::gram);
    const EntryMask from_gram = wanted && !pairs_of(KernelForm::features);
    const EntryMask from_formed = from_gram && !from_kept;
    std::vector<Eigen::MatrixXd> kept_products;
    std::vector<Eigen::MatrixXd> formed_products;
    std::vector<Eigen::MatrixXd> permuted;
    if (from_kept.any()) kept_products = gram_products(blocks_a, blocks_b, order, deletions, false, from_kept, options.safe_point);
    if (from_formed.any()) formed_products = gram_products(blocks_a, blocks_b, order, deletions, true, from_formed, options.safe_point);
    if (from_gram.any()) {
        permuted = batched ? permuted_batch_products(blocks_a, blocks_b, order, layout, options, from_gram)
                           : permuted_gram_products(blocks_a, blocks_b, order, *permutations, from_gram, options.safe_point);
    }
    for (Index i = 0; i < wanted.rows(); ++i) {
        for (Index j = 0; j < wanted.cols(); ++j) {
            if (!wanted(i, j)) continue;
            const KernelBlock& x = *blocks_a[static_cast<std::size_t>(i)];
            const KernelBlock& y = *blocks_b[static_cast<std::size_t>(j)];
            EntryFigures figures;
            Eigen::VectorXd inner(groups + 1);
            if (from_gram(i, j)) {
                const auto& products = from_kept(i, j) ? kept_products : formed_products;
                for (int g = deletions ? 0 : groups; g <= groups; ++g) inner(g) = products[static_cast<std::size_t>(g)](i, j);
                for (const auto& matrix : permuted) figures.permuted.push_back(matrix(i, j));
            } else {
                inner = cross_products(x, y, order, deletions, options.safe_point);
                figures.permuted = permuted_cross_products(x, y, order, *permutations, options.safe_point);
            }
            const bool equal = x.content == y.content;
            figures.value = equal ? 1 : std::clamp(inner(groups), recipe.unbiased ? -1.0 : 0.0, 1.0);
            figures.null_mean = null_mean(x, y, layout);
            if (deletions) {
                for (int g = 0; g < groups; ++g) {
                    const double norms = x.self(g) * y.self(g);
                    if (norms > 1e-24) {
                        figures.deleted.push_back(std::clamp(inner(g) / std::sqrt(norms), -1.0, 1.0));
                    } else {
                        figures.deleted.push_back(kNan);
                        figures.message = "without one of the document groups nothing varies: no interval";
                    }
                }
            }
            set_entry(result, i, j, figures, order.group_rows);
        }
    }
    return result;
}

}  // namespace cmsweep
