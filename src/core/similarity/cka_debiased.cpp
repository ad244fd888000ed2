#include "kernel.hpp"
#include "metrics.hpp"

namespace cmsweep {
namespace {

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json&, const SafePoint& safe_point) {
    KernelRecipe recipe;
    recipe.unbiased = true;
    return prepare_kernel(features, layout, recipe, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_kernel(a, b, layout, options, wanted);
}

}  // namespace

/// Cosine of the U-centred linear Gram matrices (Szekely and Rizzo 2014, eq. 2.5 to 2.7): 0 on average for independent
/// data. Needs n >= 4.
MetricInfo cka_debiased() {
    MetricInfo info;
    info.name = "cka_debiased";
    info.tile_edge = kKernelTileEdge;
    info.summary = "linear centred kernel alignment without its bias; may be negative";
    info.source = "Kornblith et al. 2019 (its debiased form); Szekely and Rizzo 2014, Partial distance correlation, eq. 2.5";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
