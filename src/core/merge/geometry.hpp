#pragma once

#include "cmsweep/core/merge/method.hpp"

namespace cmsweep {

/// f(e): the product of two members' task vectors at element e of one tensor, in double.
inline auto tau_terms(const ParameterMergeInput& input, std::size_t tensor, std::size_t i, std::size_t j) {
    return [base = input.base[tensor], a = input.members[i][tensor], b = input.members[j][tensor]](std::size_t e) {
        const double origin = base[e];
        return (static_cast<double>(a[e]) - origin) * (static_cast<double>(b[e]) - origin);
    };
}

/// Inner product of two members' task vectors in one tensor, in double; the same bits whatever else is computed.
double tau_product(const ParameterMergeInput& input, std::size_t tensor, std::size_t i, std::size_t j);

/// How members lie around the base, over all tensors that are merged:
/// `tau_norm`: Euclidean norm of each member's task vector (for up to 8 members, so that notes stay short);
/// `tau_cosine`: mean over pairs of members of the cosine between their task vectors; missing where one of these is 0.
/// Calls input.safe_point() between tensors.
nlohmann::json tau_geometry(const ParameterMergeInput& input);

}  // namespace cmsweep
