#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "cmsweep/core/merge/method.hpp"

namespace cmsweep {

/// Uniform 32-bit numbers, one an element of a tensor in storage order.
class Draws {
public:
    virtual ~Draws() = default;
    virtual void next(std::span<std::uint32_t> out) = 0;
};

/// The draws of one (member, tensor); each call starts them anew. Tests put fixed masks here.
using DrawSource = std::function<std::unique_ptr<Draws>(std::size_t member, std::size_t tensor)>;

/// Streams keyed by (seed, member, tensor name), not by any parameter: all densities and methods that drop entries see
/// the same numbers, so that what a smaller density keeps is part of what a larger one keeps.
DrawSource stream_draws(const ParameterMergeInput& input);

/// An entry is kept if its draw is below this: probability `keep`, clamped to [0, 1].
inline std::uint64_t keep_limit(double keep) {
    constexpr double kRange = 4294967296.0;
    return keep >= 1 ? std::uint64_t{1} << 32 : keep <= 0 ? 0 : static_cast<std::uint64_t>(keep * kRange);
}

}  // namespace cmsweep
