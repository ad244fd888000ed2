#include "kernel.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "cross_covariance.hpp"
#include "gram_products.hpp"
#include "statistics.hpp"

namespace cmsweep {
namespace {

constexpr Index kKeptRows = 1024;         // Gram matrices up to kKeptRows^2 numbers stay in memory
constexpr Index kGramToFeatures = 8;      // Gram form up to n = 8 p
constexpr Index kMostRbfRows = 8192;      // the median runs over all n (n - 1) / 2 distances
constexpr Index kTileRows = 64;
constexpr Index kGramTile = 256;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

KernelForm kernel_form(Index n, Index p, const KernelRecipe& recipe) {
    if (recipe.form) return *recipe.form;
    const Index batch = recipe.batch_rows > 0 ? std::min(recipe.batch_rows, n) : n;
    if (n * batch <= kKeptRows * kKeptRows) {
        const bool products = recipe.function == KernelRecipe::Function::rbf || recipe.batch_rows > 0;
        if (products || n <= kGramToFeatures * p) return KernelForm::gram;
    }
    if (recipe.function == KernelRecipe::Function::rbf || recipe.batch_rows > 0) return KernelForm::streamed;
    return n <= kGramToFeatures * p ? KernelForm::streamed : KernelForm::features;
}

Index fewest_rows(const KernelRecipe& recipe) { return recipe.unbiased ? 4 : 2; }

CentringWeights centring_weights(const KernelRecipe& recipe, Index m, bool several_batches) {
    const double rows = static_cast<double>(m);
    const double batch = several_batches ? 1 / (rows * (rows - 3)) : 1;
    if (recipe.unbiased) return {2 / (rows - 2), 1 / ((rows - 1) * (rows - 2)), batch};
    return {2 / rows, 1 / (rows * rows), batch};
}

KernelBlock::KernelBlock(const FeatureMatrix& input, const ProbeLayout& layout, const KernelRecipe& block_recipe)
    : recipe(block_recipe) {
    check_features(input, layout);
    const RowOrder order(layout, recipe.batch_rows);
    n = order.rows();
    p = input.cols();
    form = kernel_form(n, p, recipe);
    batch_count_ = order.batches.front().count;
    if (batch_count_ < fewest_rows(recipe)) {
        throw NumericError("n = " + std::to_string(batch_count_) + " rows: " + (recipe.unbiased ? "an unbiased form" : "this metric") + " needs at least " +
                           std::to_string(fewest_rows(recipe)) + "; raise similarity.windows");
    }
    if (recipe.function == KernelRecipe::Function::rbf && n > kMostRbfRows) {
        throw NumericError("n = " + std::to_string(n) + " rows: cka_rbf needs all pairs of rows and takes at most " +
                           std::to_string(kMostRbfRows) + "; use pooling = \"mean\", fewer windows, or cka_minibatch");
    }
    content = features_id(input);

    features = input;
    source_ = order.source;
    centre_ = column_centre(features);
    squares.resize(n);
    RowMajorMatrix one(1, p);
    for (Index place = 0; place < n; ++place) {
        centred(&place, 1, one);
        squares(place) = one.row(0).squaredNorm();
    }
    const double variation = squares.sum();
    if (!std::isfinite(variation)) throw NumericError("features overflow: the sum of their squares is not finite");
    if (variation == 0) {
        throw NumericError("all " + std::to_string(n) + " rows are equal (constant features): similarity is undefined");
    }
    if (recipe.function == KernelRecipe::Function::linear) {
        const Index place = dominant_row(squares, &dominant_share);
        if (place >= 0) dominant = order.source[place];
    } else {
        choose_bandwidth(order);
    }
    choose_offsets(order);
    if (form == KernelForm::features) {
        figures_from_features(order, layout);
    } else {
        if (form == KernelForm::gram) fill_gram(order);
        figures_from_tiles(order, layout);
    }

    const double norm_square = self(self.size() - 1);
    const double largest = recipe.function == KernelRecipe::Function::linear ? variation : static_cast<double>(n);
    const double batch_weight = centring_weights(recipe, batch_count_, order.batches.size() > 1).batch;
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
        if (order.batches.size() == 1) features.resize(0, 0);
    }
}

std::size_t KernelBlock::bytes() const {
    return static_cast<std::size_t>(gram_.size() + row_sums.size() + windows.within.size() + windows.between.size() + squares.size() +
                                    offset_.size()) * sizeof(double) +
           static_cast<std::size_t>(features.size()) * sizeof(float);
}

void KernelBlock::centred(const Index* places, Index count, RowMajorMatrix& out) const {
    out.resize(count, p);
    for (Index i = 0; i < count; ++i) centred_row(features, centre_, source_[places[i]], out.data() + i * p);
}

double KernelBlock::kernel(double product, double square_i, double square_j) const {
    if (recipe.function == KernelRecipe::Function::linear) return product;
    return std::exp(-exponent_ * std::max(0.0, square_i + square_j - 2 * product));
}

/// Inner products of the centred rows at s and t.
void KernelBlock::product_tile(const RowRun& s, const RowRun& t, RowMajorMatrix& products) const {
    std::vector<Index> places(static_cast<std::size_t>(std::max(s.count, t.count)));
    RowMajorMatrix x;
    RowMajorMatrix y;
    std::iota(places.begin(), places.end(), s.begin);
    centred(places.data(), s.count, x);
    std::iota(places.begin(), places.end(), t.begin);
    centred(places.data(), t.count, y);
    products.resize(s.count, t.count);
    products.noalias() = x * y.transpose();
}

/// The kernel over s x t; offsets and the diagonal come later.
void KernelBlock::form_tile(const RowRun& s, const RowRun& t, double* out) const {
    RowMajorMatrix products;
    product_tile(s, t, products);
    for (Index i = 0; i < s.count; ++i) {
        for (Index j = 0; j < t.count; ++j) {
            *out++ = s.begin + i == t.begin + j && recipe.function == KernelRecipe::Function::rbf
                         ? 1.0
                         : kernel(products(i, j), squares(s.begin + i), squares(t.begin + j));
        }
    }
}

/// sigma^2 = f^2 x the median squared distance of two different rows.
void KernelBlock::choose_bandwidth(const RowOrder& order) {
    const auto segments = order.segments(order.batches.front(), kTileRows);
    std::vector<double> distances;
    distances.reserve(static_cast<std::size_t>(n * (n - 1) / 2));
    RowMajorMatrix products;
    for (std::size_t i = 0; i < segments.size(); ++i) {
        for (std::size_t j = i; j < segments.size(); ++j) {
            const RowRun& s = segments[i];
            const RowRun& t = segments[j];
            product_tile(s, t, products);
            for (Index a = 0; a < s.count; ++a) {
                for (Index b = i == j ? a + 1 : 0; b < t.count; ++b) {
                    distances.push_back(
                        std::max(0.0, squares(s.begin + a) + squares(t.begin + b) - 2 * products(a, b)));
                }
            }
        }
    }
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
void KernelBlock::choose_offsets(const RowOrder& order) {
    offset_ = Eigen::VectorXd::Zero(n);
    const bool linear = recipe.function == KernelRecipe::Function::linear;
    if (linear && !recipe.unbiased && order.batches.size() == 1) return;  // centred features: nothing to add
    for (const auto& batch : order.batches) {
        const double m = static_cast<double>(batch.count);
        Eigen::VectorXd sums = Eigen::VectorXd::Zero(batch.count);
        if (linear && order.batches.size() == 1) {
            sums = -squares;
        } else {
            const auto segments = order.segments(batch, kTileRows);
            std::vector<double> values(static_cast<std::size_t>(kTileRows * kTileRows));
            for (std::size_t i = 0; i < segments.size(); ++i) {
                for (std::size_t j = i; j < segments.size(); ++j) {
                    const RowRun& s = segments[i];
                    const RowRun& t = segments[j];
                    form_tile(s, t, values.data());
                    for (Index a = 0; a < s.count; ++a) {
                        for (Index b = 0; b < t.count; ++b) {
                            const double value = values[static_cast<std::size_t>(a * t.count + b)];
                            if (recipe.unbiased && s.begin + a == t.begin + b) continue;
                            sums(s.begin - batch.begin + a) += value;
                            if (i != j) sums(t.begin - batch.begin + b) += value;
                        }
                    }
                }
            }
        }
        const double total = sums.sum();
        for (Index i = 0; i < batch.count; ++i) {
            // K - r_i/m - r_j/m + S/m^2, or K - r_i/(m-2) - r_j/(m-2) + S/((m-1)(m-2)) (Szekely and Rizzo 2014, eq. 2.5)
            offset_(batch.begin + i) = recipe.unbiased ? -sums(i) / (m - 2) + total / (2 * (m - 1) * (m - 2))
                                                       : -sums(i) / m + total / (2 * m * m);
        }
    }
}

/// The centred Gram matrices, formed by general products on the tiles on and above the diagonal.
void KernelBlock::fill_gram(const RowOrder& order) {
    const Index m = batch_count_;
    gram_.resize(static_cast<Index>(order.batches.size()) * m * m);
    const bool linear = recipe.function == KernelRecipe::Function::linear;
    std::vector<Index> places(static_cast<std::size_t>(m));
    RowMajorMatrix x;
    for (std::size_t batch = 0; batch < order.batches.size(); ++batch) {
        const Index begin = order.batches[batch].begin;
        std::iota(places.begin(), places.end(), begin);
        centred(places.data(), m, x);
        Eigen::Map<RowMajorMatrix> gram(gram_.data() + static_cast<Index>(batch) * m * m, m, m);
        for (Index i = 0; i < m; i += kGramTile) {
            const Index rows = std::min(kGramTile, m - i);
            for (Index j = i; j < m; j += kGramTile) {
                const Index columns = std::min(kGramTile, m - j);
                RowMajorMatrix products(rows, columns);
                products.noalias() = x.middleRows(i, rows) * x.middleRows(j, columns).transpose();
                for (Index a = 0; a < rows; ++a) {
                    for (Index b = 0; b < columns; ++b) {
                        const Index row = i + a;
                        const Index column = j + b;
                        if (column < row) continue;
                        double value = products(a, b);
                        if (!linear) {
                            value = row == column ? 1.0 : kernel(value, squares(begin + row), squares(begin + column));
                        }
                        value += offset_(begin + row) + offset_(begin + column);
                        if (recipe.unbiased && row == column) value = 0;
                        gram(row, column) = value;
                        gram(column, row) = value;
                    }
                }
            }
        }
    }
}

void KernelBlock::tile(const RowRun& s, const RowRun& t, double* out) const {
    if (form == KernelForm::gram) {
        const Index batch = s.begin / batch_count_;
        const Index begin = batch * batch_count_;
        const double* gram = gram_.data() + batch * batch_count_ * batch_count_;
        for (Index i = 0; i < s.count; ++i) {
            const double* row = gram + (s.begin - begin + i) * batch_count_ + (t.begin - begin);
            out = std::copy(row, row + t.count, out);
        }
        return;
    }
    form_tile(s, t, out);
    for (Index i = 0; i < s.count; ++i) {
        for (Index j = 0; j < t.count; ++j, ++out) {
            *out = scale * (*out + (offset_(s.begin + i) + offset_(t.begin + j)));
            if (recipe.unbiased && s.begin + i == t.begin + j) *out = 0;
        }
    }
}

const double* KernelBlock::whole(const RowOrder& order, std::vector<double>& workspace) const {
    if (form == KernelForm::gram) return gram_.data();
    workspace.resize(static_cast<std::size_t>(n * n));
    std::vector<double> values(static_cast<std::size_t>(kTileRows * kTileRows));
    const auto segments = order.segments(order.batches.front(), kTileRows);
    for (std::size_t i = 0; i < segments.size(); ++i) {
        for (std::size_t j = i; j < segments.size(); ++j) {
            const RowRun& s = segments[i];
            const RowRun& t = segments[j];
            tile(s, t, values.data());
            for (Index a = 0; a < s.count; ++a) {
                for (Index b = 0; b < t.count; ++b) {
                    const double value = values[static_cast<std::size_t>(a * t.count + b)];
                    workspace[static_cast<std::size_t>((s.begin + a) * n + t.begin + b)] = value;
                    workspace[static_cast<std::size_t>((t.begin + b) * n + s.begin + a)] = value;
                }
            }
        }
    }
    return workspace.data();
}

/// Row sums, self products and the null's block sums, in one pass over the tiles (scale is still 1).
void KernelBlock::figures_from_tiles(const RowOrder& order, const ProbeLayout& layout) {
    const int groups = order.groups();
    const bool several = order.batches.size() > 1;
    if (!several && layout.rows_per_window > 1) windows = WindowSums::zero(layout);
    const bool blocks = windows.within.size() > 0;
    row_sums = Eigen::MatrixXd::Zero(n, groups + 1);
    self = Eigen::VectorXd::Zero(groups + 1);
    Eigen::VectorXd values(kTileRows * kTileRows);
    for (const auto& batch : order.batches) {
        double total = 0;
        Eigen::VectorXd part = Eigen::VectorXd::Zero(groups);
        Eigen::MatrixXd from_group = Eigen::MatrixXd::Zero(batch.count, groups);  // row sums over each group's columns
        const auto segments = order.segments(batch, kTileRows);
        for (std::size_t i = 0; i < segments.size(); ++i) {
            for (std::size_t j = i; j < segments.size(); ++j) {
                const RowRun& s = segments[i];
                const RowRun& t = segments[j];
                tile(s, t, values.data());
                const double square = (i == j ? 1 : 2) * values.head(s.count * t.count).squaredNorm();
                total += square;
                part(s.group) += square;
                if (t.group != s.group) part(t.group) += square;
                for (Index a = 0; a < s.count; ++a) {
                    for (Index b = 0; b < t.count; ++b) {
                        const double value = values(a * t.count + b);
                        from_group(s.begin - batch.begin + a, t.group) += value;
                        if (i != j) from_group(t.begin - batch.begin + b, s.group) += value;
                        if (s.begin + a == t.begin + b) trace += value;
                        if (!blocks) continue;
                        const Index row = order.source[s.begin + a];
                        const Index column = order.source[t.begin + b];
                        windows.add(layout, row, column, value);
                        if (i != j) windows.add(layout, column, row, value);
                    }
                }
            }
        }
        self(groups) += centring_weights(recipe, batch.count, several).batch * total;
        for (int g = 0; g < groups; ++g) {
            const auto run = std::find_if(batch.runs.begin(), batch.runs.end(), [&](const RowRun& r) { return r.group == g; });
            const Index kept = batch.count - (run == batch.runs.end() ? 0 : run->count);
            if (kept < fewest_rows(recipe)) continue;
            const CentringWeights weights = centring_weights(recipe, kept, several);
            if (run == batch.runs.end()) {
                self(g) += weights.batch * total;
                continue;
            }
            auto sums = row_sums.col(g).segment(batch.begin, batch.count);
            sums = -from_group.col(g);  // the whole row sums to 0
            sums.segment(run->begin - batch.begin, run->count).setZero();
            const double sum = sums.sum();
            self(g) += weights.batch * (total - part(g) - weights.rows * sums.squaredNorm() + weights.total * sum * sum);
        }
    }
}

/// The same from the features: K = X X^T, diagonal left out if unbiased; row sums are x_i . (sum of kept rows).
void KernelBlock::figures_from_features(const RowOrder& order, const ProbeLayout& layout) {
    const int groups = order.groups();
    const Index c = layout.rows_per_window;
    Eigen::MatrixXd kept = Eigen::MatrixXd::Zero(p, groups + 1);  // minus the sum of each group's rows: centred rows sum to 0
    RowMajorMatrix x;
    for (Index place = 0; place < n; ++place) {
        centred(&place, 1, x);
        kept.col(order.group[place]) -= x.row(0).transpose();
    }
    kept.col(groups).setZero();
    row_sums.resize(n, groups + 1);
    std::vector<Index> places(static_cast<std::size_t>(kTileRows));
    for (Index begin = 0; begin < n; begin += kTileRows) {
        const Index count = std::min(kTileRows, n - begin);
        std::iota(places.begin(), places.end(), begin);
        centred(places.data(), count, x);
        RowMajorMatrix products(count, groups + 1);
        products.noalias() = x * kept;
        row_sums.middleRows(begin, count) = products;
    }
    row_sums.col(groups).setZero();
    for (Index place = 0; place < n; ++place) {
        if (recipe.unbiased) row_sums.row(place).array() -= squares(place);
        row_sums(place, order.group[place]) = 0;
    }
    if (!recipe.unbiased) trace = squares.sum();
    self = cross_products(*this, *this, order, true);

    if (c == 1) return;
    windows = WindowSums::zero(layout);
    if (windows.within.size() == 0) return;
    Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(c, p);
    std::vector<Index> place_of(static_cast<std::size_t>(n));  // one batch: every row has a place
    for (Index place = 0; place < n; ++place) place_of[order.source[place]] = place;
    for (Index window = 0; window < layout.windows; ++window) {
        centred(place_of.data() + window * c, c, x);
        windows.within.noalias() += x * x.transpose();
        sum += x;
    }
    windows.between.noalias() = sum * sum.transpose();
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

std::shared_ptr<const PreparedBlock> prepare_kernel(const FeatureMatrix& features, const ProbeLayout& layout,
                                                    const KernelRecipe& recipe) {
    return std::make_shared<const KernelBlock>(features, layout, recipe);
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
    if (a.recipe.batch_rows > 0 && a.n > a.recipe.batch_rows) {
        return layout.rows_per_window == 1 ? 0 : kNan;  // U-centred within each batch, whatever rows it holds
    }
    if (layout.windows < 2) return kNan;
    if (layout.rows_per_window == 1) return a.recipe.unbiased ? 0 : a.trace * b.trace / static_cast<double>(layout.windows - 1);
    return mean_over_permutations(a.windows, b.windows, layout);
}

/// Batches are centred by themselves, so windows that change batch change the matrix: it is formed anew.
std::vector<Eigen::MatrixXd> permuted_batch_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                     const ProbeLayout& layout, int permutations);

std::string dominance(const char* side, std::size_t number, const KernelBlock& block) {
    if (block.dominant < 0) return "";
    return std::string(side) + " block " + std::to_string(number) + ": row " + std::to_string(block.dominant) + " holds " +
           std::to_string(static_cast<int>(std::round(100 * block.dominant_share))) +
           " % of the variance; the value rests on it";
}

}  // namespace

ComparisonResult compare_kernel(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                const ComparisonOptions& options, Entries entries) {
    ComparisonResult result = empty_result(static_cast<Index>(a.size()), static_cast<Index>(b.size()));
    if (a.empty() || b.empty()) return result;
    const KernelBlocks blocks_a = kernel_blocks(a);
    const KernelBlocks blocks_b = kernel_blocks(b);
    const KernelBlock& first = *blocks_a.front();
    for (const auto* blocks : {&blocks_a, &blocks_b}) {
        for (const auto* block : *blocks) {
            if (block->n != first.n) throw std::invalid_argument("compare: blocks have different numbers of rows");
            if (block->form != first.form) {
                add_message(result, "features of width " + std::to_string(first.p) + " and " + std::to_string(block->p) +
                                        " take different forms at n = " + std::to_string(first.n) + " and are not compared");
                return result;
            }
        }
    }
    const RowOrder order(layout, first.recipe.batch_rows);
    const int groups = order.groups();
    const bool deletions = options.interval && groups > 1;
    add_option_messages(result, options, layout, groups);
    for (std::size_t i = 0; i < a.size(); ++i) add_message(result, dominance("A", i, *blocks_a[i]));
    for (std::size_t j = 0; j < b.size(); ++j) add_message(result, dominance("B", j, *blocks_b[j]));

    const auto wanted = [&](std::size_t i, std::size_t j) {
        return entries == Entries::all || (entries == Entries::upper ? j >= i : j == i);
    };
    std::vector<std::vector<Index>> places;  // of each permutation: place -> place
    std::vector<Index> place_of(static_cast<std::size_t>(layout.rows()), -1);
    for (Index place = 0; place < order.rows(); ++place) place_of[order.source[place]] = place;
    const bool batches = order.batches.size() > 1;
    if (!batches) {
        for (const auto& permutation : window_permutations(layout, options.permutations)) {
            const auto rows = permuted_rows(layout, permutation);
            places.emplace_back();
            for (Index place = 0; place < order.rows(); ++place) places.back().push_back(place_of[rows[order.source[place]]]);
        }
    }

    std::vector<Eigen::MatrixXd> products;
    std::vector<Eigen::MatrixXd> permuted;
    if (first.form != KernelForm::features) {
        const bool upper = entries == Entries::upper;
        products = gram_products(blocks_a, blocks_b, order, deletions, upper);
        if (batches) permuted = permuted_batch_products(blocks_a, blocks_b, order, layout, options.permutations);
        else permuted = permuted_gram_products(blocks_a, blocks_b, order, places, upper);
    }
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t j = 0; j < b.size(); ++j) {
            if (!wanted(i, j)) continue;
            const KernelBlock& x = *blocks_a[i];
            const KernelBlock& y = *blocks_b[j];
            EntryFigures figures;
            Eigen::VectorXd inner(groups + 1);
            if (first.form == KernelForm::features) {
                inner = cross_products(x, y, order, deletions);
                figures.permuted = permuted_cross_products(x, y, order, places);
            } else {
                for (int g = deletions ? 0 : groups; g <= groups; ++g) {
                    inner(g) = products[static_cast<std::size_t>(g)](static_cast<Index>(i), static_cast<Index>(j));
                }
                for (const auto& matrix : permuted) figures.permuted.push_back(matrix(static_cast<Index>(i), static_cast<Index>(j)));
            }
            const bool equal = x.content == y.content;
            figures.value = equal ? 1 : std::clamp(inner(groups), first.recipe.unbiased ? -1.0 : 0.0, 1.0);
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
            set_entry(result, static_cast<Index>(i), static_cast<Index>(j), figures, order.group_rows);
        }
    }
    return result;
}

namespace {

std::vector<Eigen::MatrixXd> permuted_batch_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                     const ProbeLayout& layout, int permutations) {
    std::vector<Eigen::MatrixXd> result;
    for (const auto& permutation : window_permutations(layout, permutations)) {
        const auto rows = permuted_rows(layout, permutation);
        result.emplace_back(static_cast<Index>(a.size()), static_cast<Index>(b.size()));
        for (std::size_t first = 0; first < b.size(); first += kPairTile) {
            const std::size_t count = std::min<std::size_t>(kPairTile, b.size() - first);
            std::vector<std::unique_ptr<KernelBlock>> owned;
            KernelBlocks permuted;
            for (std::size_t k = first; k < first + count; ++k) {
                FeatureMatrix features(b[k]->features.rows(), b[k]->features.cols());
                for (Index row = 0; row < features.rows(); ++row) features.row(row) = b[k]->features.row(rows[row]);
                owned.push_back(std::make_unique<KernelBlock>(features, layout, b[k]->recipe));
                permuted.push_back(owned.back().get());
            }
            result.back().middleCols(static_cast<Index>(first), static_cast<Index>(count)) =
                gram_products(a, permuted, order, false, false).back();
        }
    }
    return result;
}

}  // namespace
}  // namespace cmsweep
