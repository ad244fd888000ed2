#include "cmsweep/model/cost.hpp"

#include <set>

#include <ATen/ATen.h>

namespace cmsweep {
namespace {

std::int64_t mlp_matrix_scalars(const Geometry& geometry) {
    return 2 * geometry.width * geometry.inner;
}

std::int64_t attention_matrix_scalars(const Geometry& geometry) {
    return 4 * geometry.width * geometry.width;  // queries, keys, values, output
}

}  // namespace

std::int64_t mlp_scalars(const Geometry& geometry) {
    return mlp_matrix_scalars(geometry) + geometry.inner + geometry.width;
}

std::int64_t attention_scalars(const Geometry& geometry) {
    return attention_matrix_scalars(geometry) + 4 * geometry.width;
}

std::int64_t norm_scalars(const Geometry& geometry) {
    return 2 * geometry.width;
}

std::int64_t block_scalars(const Geometry& geometry) {
    return 2 * norm_scalars(geometry) + attention_scalars(geometry) + mlp_scalars(geometry);
}

std::int64_t active_ends_scalars(const Geometry& geometry) {
    const auto head = geometry.vocabulary * geometry.width;
    const auto position_row = geometry.width;
    return head + position_row + (geometry.tied ? 0 : geometry.width);
}

double mlp_flops(const Geometry& geometry) {
    return 2.0 * static_cast<double>(mlp_matrix_scalars(geometry));
}

double attention_flops(const Geometry& geometry, std::int64_t context) {
    // A token attends to (T+1)/2 positions on average; scores and mixing are a multiply-add per position and channel each.
    return 2.0 * static_cast<double>(attention_matrix_scalars(geometry)) + 2.0 * static_cast<double>(geometry.width * (context + 1));
}

double block_flops(const Geometry& geometry, std::int64_t context) {
    return attention_flops(geometry, context) + mlp_flops(geometry);
}

double head_flops(const Geometry& geometry) {
    return 2.0 * static_cast<double>(geometry.vocabulary * geometry.width);
}

std::int64_t stored_scalars(std::span<const Parameters* const> networks) {
    std::set<const void*> seen;
    std::int64_t count = 0;
    for (const auto* network : networks)
        for (const auto& [name, tensor] : network->tensors())
            if (seen.insert(tensor.data_ptr()).second) count += tensor.numel();
    return count;
}

std::int64_t active_scalars(const Geometry& geometry) {
    return geometry.blocks * block_scalars(geometry) + norm_scalars(geometry) + active_ends_scalars(geometry);
}

double network_flops(const Geometry& geometry, std::int64_t context) {
    return static_cast<double>(geometry.blocks) * block_flops(geometry, context) + head_flops(geometry);
}

Cost network_cost(const Parameters& parameters, std::int64_t context) {
    Cost cost;
    const Parameters* const networks[] = {&parameters};
    cost.stored = stored_scalars(networks);
    cost.active = active_scalars(parameters.geometry());
    cost.flops_per_token = network_flops(parameters.geometry(), context);
    return cost;
}

}  // namespace cmsweep
