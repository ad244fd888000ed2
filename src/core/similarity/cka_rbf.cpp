#include <limits>

#include "kernel.hpp"
#include "metrics.hpp"

namespace cmsweep {
namespace {

std::shared_ptr<const PreparedBlock> prepare(const Features& features, const ProbeLayout& layout,
                                             const nlohmann::json& setting, const SafePoint& safe_point) {
    KernelRecipe recipe;
    recipe.function = KernelRecipe::Function::rbf;
    recipe.bandwidth = setting.at("f").get<double>();
    return prepare_kernel(features, layout, recipe, safe_point);
}

ComparisonResult compare(const PreparedBlocks& a, const PreparedBlocks& b, const ProbeLayout& layout,
                         const nlohmann::json&, const ComparisonOptions& options, const EntryMask& wanted) {
    return compare_kernel(a, b, layout, options, wanted);
}

}  // namespace

/// Cosine of the double-centred kernels exp(-|x_i - x_j|^2 / (2 sigma^2)), sigma^2 = f^2 x the median squared distance of
/// two different rows (the reference code also counts the n zero distances of a row to itself). The interval keeps
/// sigma at the value of all rows.
MetricInfo cka_rbf() {
    MetricInfo info;
    info.name = "cka_rbf";
    info.most_rows = kMostRbfRows;
    ParameterSpec f;
    f.name = "f";
    f.high = std::numeric_limits<double>::infinity();
    f.low_open = true;
    f.default_value = 1.0;
    f.summary = "bandwidth in units of the median distance between rows";
    info.parameters = {f};
    info.tile_edge = kKernelTileEdge;
    info.summary = "centred kernel alignment with a Gaussian kernel, the biased form";
    info.source = "Kornblith et al. 2019, section 3 (RBF CKA, bandwidth a fraction of the median distance)";
    info.prepare = prepare;
    info.compare = compare;
    return info;
}

}  // namespace cmsweep
