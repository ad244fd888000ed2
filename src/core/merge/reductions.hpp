#pragma once

#include <array>
#include <cstddef>

namespace cmsweep {

/// Sum of f(e) for e = 0 … size-1 in double. Eight partial sums, always added in the same order: fast without letting
/// the compiler reorder, and the same bits whatever else is computed.
template <typename Function>
double sum_of(std::size_t size, Function&& f) {
    std::array<double, 8> partial{};
    std::size_t e = 0;
    for (; e + 8 <= size; e += 8) {
        for (std::size_t lane = 0; lane < 8; ++lane) partial[lane] += f(e + lane);
    }
    for (std::size_t lane = 0; e < size; ++e, ++lane) partial[lane] += f(e);
    return ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
           ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}

}  // namespace cmsweep
