#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "cmsweep/core/similarity/metric.hpp"
#include "rows.hpp"
#include "tile_product.hpp"
#include "window_sums.hpp"

namespace cmsweep {

/// How a kernel metric's numbers are formed. All forms give the same values to 1e-10.
enum class KernelForm {
    gram,      ///< the centred Gram matrices are kept: few rows
    streamed,  ///< features are kept, Gram tiles are formed when needed: too many rows to keep n x n numbers
    features,  ///< features are kept, p x p cross-covariances replace n x n products: n much larger than p; linear kernel
};

/// What distinguishes the kernel metrics.
struct KernelRecipe {
    enum class Function { linear, rbf };
    Function function = Function::linear;
    bool unbiased = false;         ///< U-centring (diagonal left out) instead of double centring
    double bandwidth = 1;          ///< rbf: sigma^2 = bandwidth^2 x median squared distance
    Index batch_rows = 0;          ///< > 0: HSIC averaged over batches of that many rows
    std::optional<KernelForm> form;  ///< for tests; else kernel_form() decides
};

/// For n rows in the probe; depends on n, p and the recipe only. Gram matrices up to n = 8 p: beyond, the Gram matrices themselves would cost more,
/// n^2 p, than a pair's cross-covariance. And up to n = 16384, where one of them is 2 GiB, since one is held whole while
/// windows are permuted: so memory does not grow with n. All are kept up to n = 1024 (4 MiB each).
KernelForm kernel_form(Index n, Index p, const KernelRecipe& recipe);

/// Memory that is used again from tile to tile: to ask for a megabyte anew each time costs more than a third of the time.
struct TileMemory {
    std::vector<Index> places;
    RowMajorMatrix x;
    RowMajorMatrix products;
    Panel panel_x;
    Panel panel_y;
    Eigen::VectorXd tiles;
};

/// One block of one representation: its (U-)centred kernel matrix G at unit Frobenius norm, kept or on demand, and what
/// deleting a group or permuting windows needs of it. Rows are numbered by place, see RowOrder.
///
/// Deleting rows without copying: let K be any kernel matrix (diagonal zero if unbiased), m the kept rows, r its row
/// sums over kept columns, S their total. The centred inner product over the kept rows is
///     sum K.L - a r_K.r_L + b S_K S_L,    a = 2/m,     b = 1/m^2                 (biased)
///                                         a = 2/(m-2), b = 1/((m-1)(m-2))        (unbiased; Song et al. 2012, eq. 5)
/// and does not change if u_i + u_j is added to K_ij, so G serves for every subset.
class KernelBlock : public PreparedBlock {
public:
    KernelBlock(const Features& input, const ProbeLayout& layout, const KernelRecipe& block_recipe, const SafePoint& safe_point);
    std::size_t bytes() const override;

    /// The tiles of G over the segments s x t, packed: one after the other for each of s, each row-major; where they are
    /// kept, or in memory.tiles. s and t are runs of neighbouring segments of one batch, and the same run or t after s; in
    /// the same run the tiles below the diagonal are left out.
    const double* tiles(std::span<const RowRun> s, std::span<const RowRun> t, TileMemory& memory) const;
    /// All of G for a single batch, n x n, into `out`.
    void whole(const RowOrder& order, double* out) const;
    /// Row sums of G over the columns that remain without a run of a batch, both by number, before scaling; the run's own
    /// rows are 0. One a place of the batch.
    Eigen::VectorXd kept_sums(const RowOrder& order, std::size_t batch, std::size_t run) const;
    /// The features with their rows in another order (rows[i] is the row that stands at row i), if batched; without what
    /// deletions need. Throws NumericError as the constructor.
    KernelBlock with_rows(const std::vector<Index>& rows, const RowOrder& order, const ProbeLayout& layout,
                          const SafePoint& safe_point) const;
    /// Centred features of the rows at `places`, count x p.
    void centred(const Index* places, Index count, RowMajorMatrix& out) const;

    KernelRecipe recipe;
    KernelForm form = KernelForm::gram;
    Id content;
    Index n = 0;                  ///< rows that take part
    Index p = 0;
    /// Centred by batches, or rows are left over: under a permutation other rows meet in a batch.
    bool batched = false;
    double scale = 1;             ///< G = scale x the centred kernel matrix
    double trace = 0;             ///< of G
    double dominant_share = 0;    ///< linear: largest share of one row in the trace,
    Index dominant = -1;          ///< and that row's number if it rules the value

    Eigen::MatrixXd kept_rows;    ///< features: sum of the centred rows that remain without each group, p x groups
    /// <G, G> without group g, last: all rows (1).
    Eigen::VectorXd self;
    WindowSums windows;           ///< of G; one row a window needs only `trace`

    Eigen::VectorXd squares;      ///< streamed, features: squared norms of the centred rows, by place
    Features features;            ///< streamed, features, and if batched: as given

private:
    KernelBlock() = default;
    void prepare(const RowOrder& order, const ProbeLayout& layout, bool deletions, const SafePoint& safe_point);
    double kernel(double product, double square_i, double square_j) const;
    double* centre_tile(const RowRun& s, const RowRun& t, const RowMajorMatrix& block, Index begin_s, Index begin_t,
                        double factor, double* out) const;
    void choose_bandwidth(const RowOrder& order, const SafePoint& safe_point);
    void choose_offsets(const RowOrder& order, const SafePoint& safe_point);
    void fill_gram(const RowOrder& order);
    void products(Index begin_s, Index count_s, Index begin_t, Index count_t, TileMemory& memory) const;
    void figures_from_tiles(const RowOrder& order, const ProbeLayout& layout, bool deletions, const SafePoint& safe_point);
    void figures_from_features(const RowOrder& order, const ProbeLayout& layout, const SafePoint& safe_point);

    ColumnCentre centre_;
    double exponent_ = 0;         ///< rbf: 1 / (2 sigma^2)
    Eigen::VectorXd offset_;      ///< u_i: K_ij + u_i + u_j is (U-)centred
    Eigen::VectorXd gram_;        ///< gram: packed
    std::vector<Index> source_;   ///< place -> row
    /// gram, streamed: see kept_sums(); a matrix a batch, its rows x its runs. A batch seldom has rows of every group.
    std::vector<Eigen::MatrixXd> kept_sums_;
};

/// Coefficients of the centred inner product over m rows; see KernelBlock.
struct CentringWeights {
    double rows;   ///< a
    double total;  ///< b
    double batch;  ///< weight of a batch of m rows: 1/(m(m-3)), so that the sum over batches averages HSIC_1
};
CentringWeights centring_weights(const KernelRecipe& recipe, Index m, bool several_batches);
/// Most rows of the rbf kernel, whose bandwidth takes all n (n - 1) / 2 distances.
inline constexpr Index kMostRbfRows = 8192;
/// Fewest rows for which the centred inner product is defined.
Index fewest_rows(const KernelRecipe& recipe);

/// Neighbouring segments whose tiles are formed together. Kept Gram matrices are read tile by tile; products of streamed
/// ones are formed over about kStreamedRows rows.
std::vector<std::span<const RowRun>> bands(const RowBatch& batch, bool streamed);

/// MetricInfo::prepare for kernel metrics.
std::shared_ptr<const PreparedBlock> prepare_kernel(const Features& features, const ProbeLayout& layout,
                                                    const KernelRecipe& recipe, const SafePoint& safe_point);

/// MetricInfo::tile_edge for kernel metrics: preparing e blocks takes about n^2 p e, comparing e x e with 20 permutations
/// 20 n^2 e^2; four pair tiles.
inline constexpr std::int64_t kKernelTileEdge = 96;

/// MetricInfo::compare for kernel metrics.
ComparisonResult compare_kernel(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                const ComparisonOptions& options, const EntryMask& wanted);

}  // namespace cmsweep
