#include "kernel.hpp"
#include "metrics.hpp"

namespace cmsweep {
namespace {

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json&, const SafePoint& safe_point) {
    return prepare_kernel(features, layout, KernelRecipe{}, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_kernel(a, b, layout, options, wanted);
}

}  // namespace

/// ||Y^T X||_F^2 / (||X^T X||_F ||Y^T Y||_F) of column-centred X, Y, which is the cosine of the double-centred Gram
/// matrices X X^T and Y Y^T (Kornblith et al. 2019, eqs. 4 and 5). Biased: at n < p it is large for independent data too.
MetricInfo cka_linear() {
    MetricInfo info;
    info.name = "cka_linear";
    info.tile_edge = kKernelTileEdge;
    info.summary = "linear centred kernel alignment, the biased form";
    info.source = "Kornblith et al. 2019, Similarity of Neural Network Representations Revisited, eq. 5";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
