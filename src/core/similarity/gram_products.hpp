#pragma once

#include <vector>

#include <Eigen/Core>

#include "kernel.hpp"

namespace cmsweep {

using KernelBlocks = std::vector<const KernelBlock*>;

/// Centred inner products of all blocks of `a` with all of `b` over Gram tiles: without group g for every g if
/// `deletions`, and last over all rows. Strips of kStripRows x kStripColumns entries are formed on in_parallel()'s threads,
/// those that hold a wanted one; the others stay 0. `streamed`: in bands() for tiles that are formed on demand. An entry's
/// bits depend on its two blocks, the order and `streamed` only.
std::vector<Eigen::MatrixXd> gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                           bool deletions, bool streamed, const EntryMask& wanted,
                                           const SafePoint& safe_point);

/// Inner products with b's rows permuted, one matrix a permutation. One batch only. G is never recomputed: a permutation
/// only changes the order in which it is read; so at least one of b's whole Gram matrices is held, n x n.
std::vector<Eigen::MatrixXd> permuted_gram_products(const KernelBlocks& a, const KernelBlocks& b, const RowOrder& order,
                                                    const PlacePermutations& permutations, const EntryMask& wanted,
                                                    const SafePoint& safe_point);

}  // namespace cmsweep
