#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>
#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"
#include "cmsweep/core/setting.hpp"
#include "cmsweep/core/similarity/features.hpp"

namespace cmsweep {

/// What the rows of every representation on one probe mean.
struct ProbeLayout {
    Id id;                          ///< of the probe's windows; keys the permutations
    std::int64_t windows = 0;
    std::int64_t rows_per_window = 1;     ///< 1 for "mean" and "last" pooling, the context for "token"; n = windows x rows_per_window
    std::vector<std::int32_t> group;      ///< per window: its jackknife group 0 … groups-1 (whole documents, at most 32 groups)
    std::int64_t rows() const { return windows * rows_per_window; }
};

/// A metric's own form of one block of one representation (a normalised Gram matrix, a whitened basis, …).
/// Made once per block, used in every comparison.
class PreparedBlock {
public:
    virtual ~PreparedBlock() = default;
    /// Memory held. Features count only if a comparison reads them again and again in company, so that they should stay in
    /// memory; else the system may drop the pages of a mapped file.
    virtual std::size_t bytes() const = 0;
};

/// Called at least about once a second in what may take long; may throw to stop. Empty: nothing.
using SafePoint = std::function<void()>;

/// Which of the costly parts are wanted.
struct ComparisonOptions {
    int permutations = 20;  ///< 0: no null_p95
    bool interval = true;   ///< delete-one-group jackknife
    SafePoint safe_point = {};
};

/// Which entries of the block x block matrix are wanted: rows are A's blocks, columns B's. Without elements: all.
using EntryMask = Eigen::Array<bool, Eigen::Dynamic, Eigen::Dynamic>;

/// Block x block values between two representations; rows are A's blocks. Where a figure was not wanted or is not
/// defined for a metric it is NaN.
struct ComparisonResult {
    /// Why entries are NaN, or a warning (a row with extreme leverage): of one entry, of a row or column (the other is
    /// -1), or of all (both are).
    struct Note {
        Eigen::Index row = -1;
        Eigen::Index column = -1;
        std::string text;
    };

    ComparisonResult() = default;
    ComparisonResult(Eigen::Index rows, Eigen::Index columns);  ///< every figure NaN
    void add_note(const std::string& text, Eigen::Index row = -1, Eigen::Index column = -1);  ///< none if text is empty
    /// Every note once, with the first place and the number of places that it is about; empty if there are none.
    std::string message() const;
    /// The entries at `rows` x `columns` with their notes, numbered anew.
    ComparisonResult part(const std::vector<Eigen::Index>& rows, const std::vector<Eigen::Index>& columns) const;
    /// Writes `from` over the entries at `rows` x `columns`; notes that are new are added.
    void place(const ComparisonResult& from, const std::vector<Eigen::Index>& rows, const std::vector<Eigen::Index>& columns);

    Eigen::MatrixXd value;
    Eigen::MatrixXd null_mean;  ///< exact where a formula exists, else the mean over the permutations
    Eigen::MatrixXd null_p95;   ///< 95 % quantile over the permutations
    Eigen::MatrixXd low;        ///< 95 % interval, jackknife
    Eigen::MatrixXd high;
    std::vector<Note> notes;
};

using PreparedBlocks = std::vector<std::shared_ptr<const PreparedBlock>>;

/// One line of the registry.
struct MetricInfo {
    std::string name;
    int version = 1;
    std::vector<ParameterSpec> parameters;
    bool symmetric = true;
    /// Blocks a side of a piece of the matrix of all comparisons from which on comparing takes longer than preparing.
    std::int64_t tile_edge = 1;
    std::int64_t most_rows = 0;  ///< of a probe, where all pairs of rows are needed; 0: any number
    std::string summary;
    std::string source;
    /// Throws NumericError where the metric is undefined for this input whatever it is compared with.
    std::shared_ptr<const PreparedBlock> (*prepare)(const Features& features, const ProbeLayout& layout,
                                                    const nlohmann::json& setting, const SafePoint& safe_point) = nullptr;
    /// Compares blocks of A with blocks of B, the wanted ones; the rest is NaN.
    /// The bits of an entry depend on its two blocks, the layout and the setting only.
    ComparisonResult (*compare)(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                                const nlohmann::json& setting, const ComparisonOptions& options, const EntryMask& wanted) = nullptr;
};

/// Every metric, in the order `cmsweep metrics` prints. One line per metric, in src/core/similarity/registry.cpp.
std::span<const MetricInfo> similarity_metrics();
const MetricInfo* find_metric(std::string_view name);

}  // namespace cmsweep
