#pragma once

#include <vector>

#include "blocks.hpp"
#include "selection.hpp"

namespace cmsweep {

/// Task vectors of which only the share `density` with the largest magnitudes is kept, the rest being 0: exactly
/// floor(density x elements) of them, ties going to the lowest position. Over all tensors of a model together, or in
/// each.
class MagnitudeTrim final : public TauSource {
public:
    enum class Scope { model, tensor };
    /// Reads `source` once, more often where a sample misleads (see select_largest()). `source` must outlive this.
    MagnitudeTrim(const ParameterMergeInput& input, const TauSource& source, double density, Scope scope);
    std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const override;

private:
    const TauSource& source_;
    std::vector<std::vector<Threshold>> thresholds_;  ///< [member][tensor]
};

}  // namespace cmsweep
