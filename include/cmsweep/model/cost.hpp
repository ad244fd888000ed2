#pragma once

#include <cstdint>
#include <span>

#include "cmsweep/model/predictor.hpp"

// The arithmetic of the design's "Cost" paragraph in pieces, so that every combination adds up its own.
// "Scalars" are numbers stored or used; FLOPs are per token, a multiply-add being 2; only matrix products and attention count.
namespace cmsweep {

std::int64_t mlp_scalars(const Geometry& geometry);        ///< c_fc and c_proj, weights and biases, of one block
std::int64_t attention_scalars(const Geometry& geometry);  ///< c_attn and c_proj, weights and biases, of one block
std::int64_t norm_scalars(const Geometry& geometry);       ///< one layer norm
std::int64_t block_scalars(const Geometry& geometry);      ///< both norms, attention, MLP
/// Of embeddings and head, what one token uses: its row of wpe, the whole head and, unless tied, its row of wte.
std::int64_t active_ends_scalars(const Geometry& geometry);

double mlp_flops(const Geometry& geometry);                                ///< of one block
double attention_flops(const Geometry& geometry, std::int64_t context);    ///< of one block: projections and 2·width·(T+1)
double block_flops(const Geometry& geometry, std::int64_t context);
double head_flops(const Geometry& geometry);

/// Distinct scalars of several networks together: a tensor that they share (by handle) counts once.
std::int64_t stored_scalars(std::span<const Parameters* const> networks);
/// Of one network.
std::int64_t active_scalars(const Geometry& geometry);
double network_flops(const Geometry& geometry, std::int64_t context);
Cost network_cost(const Parameters& parameters, std::int64_t context);

}  // namespace cmsweep
