#pragma once

#include <vector>

#include <Eigen/Core>

#include "kernel.hpp"

namespace cmsweep {

using KernelBlocks = std::vector<const KernelBlock*>;

/// Blocks are compared kPairTile x kPairTile at a time, missing ones as zeros: every general matrix product has the same
/// shape whatever is compared, so OpenBLAS takes the same path for it. 24 is a multiple of the register tiles of its
/// kernels (4, 8, 12, 24) and wastes little on models of 12, 24 and 48 blocks.
inline constexpr Index kPairTile = 24;

/// Centred inner products of all blocks of `a` with all of `b` over Gram tiles: without group g for every g if
/// `deletions`, and last over all rows. Only pair tiles that hold a wanted entry are formed, the others stay 0. An
/// entry's bits depend on its two blocks and the order only.
std::vector<Eigen::MatrixXd> gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                           bool deletions, const EntryMask& wanted,
                                           const std::function<void()>& safe_point);

/// Inner products with b's rows permuted, one matrix a permutation; `places[k][i]` is the place whose row stands at
/// place i. One batch only. G is never recomputed: a permutation only changes the order in which it is read.
std::vector<Eigen::MatrixXd> permuted_gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                    const std::vector<std::vector<Index>>& places, const EntryMask& wanted,
                                                    const std::function<void()>& safe_point);

}  // namespace cmsweep
