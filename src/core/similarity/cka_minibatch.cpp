#include <limits>

#include "kernel.hpp"
#include "metrics.hpp"

namespace cmsweep {
namespace {

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json& setting, const SafePoint& safe_point) {
    KernelRecipe recipe;
    recipe.unbiased = true;
    recipe.batch_rows = setting.at("batch").get<Index>();
    return prepare_kernel(features, layout, recipe, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_kernel(a, b, layout, options, wanted);
}

}  // namespace

/// mean HSIC_1(K_i, L_i) / sqrt(mean HSIC_1(K_i, K_i) mean HSIC_1(L_i, L_i)) over batches i of consecutive rows, HSIC_1
/// the unbiased estimator of Song et al. 2012, eq. 5. The remainder is dropped; fewer rows than a batch are one batch.
/// A deleted group leaves its batches shorter (a batch below four rows is left out).
MetricInfo cka_minibatch() {
    MetricInfo info;
    info.name = "cka_minibatch";
    info.version = 2;  // 1 centred and permuted one batch with rows left over wrongly
    ParameterSpec batch;
    batch.name = "batch";
    batch.kind = ParameterSpec::Kind::integer;
    batch.low = 4;
    batch.high = std::numeric_limits<double>::infinity();
    batch.default_value = 256;
    batch.summary = "rows of a batch";
    info.parameters = {batch};
    info.tile_edge = kKernelTileEdge;
    info.summary = "linear centred kernel alignment from batches: unbiased HSIC averaged, then the ratio";
    info.source = "Nguyen, Raghu, Kornblith 2021, Do Wide and Deep Networks Learn the Same Things?, eq. 3; Song et al. 2012, eq. 5";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
