#pragma once

#include <functional>

#include "cmsweep/model/combination.hpp"

namespace cmsweep {

/// Calls visit(windows) with batches [B, T + 1] of `windows` training windows in all of member `i`'s own text
/// (input.training_text has one split a member, in their order, or a single one for all), drawn from the stream
/// (input.seed, `purpose`, text). Safe points lie between batches. `at_once`: windows a batch, at most.
void visit_own_text(const CombinationInput& input, std::size_t i, std::int64_t windows, std::int64_t at_once, std::string_view purpose,
                    const std::function<void(const torch::Tensor& windows)>& visit);

/// How many of those tokens are the target's, over all members: members whose own text is the target's training text.
std::int64_t own_target_tokens(const CombinationInput& input, std::int64_t windows);

/// The split that visit_own_text() reads.
const StoredSplit& own_text(const CombinationInput& input, std::size_t i);

}  // namespace cmsweep
