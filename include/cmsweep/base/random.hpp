#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <string_view>
#include <vector>

namespace cmsweep {

/// A stream of random numbers named by (seed, purpose, keys): the same name gives the same numbers everywhere, on any
/// rank, whatever else is drawn. Keys are contents (a corpus digest, a tensor name), never positions or method
/// parameters, so that settings that differ only in a parameter see the same draws.
/// Engine: std::mt19937_64, whose output the standard fixes, seeded with the 64-bit hash of the name; the
/// distributions below are our own since the standard leaves theirs to the library.
class Stream {
public:
    Stream(std::uint64_t seed, std::string_view purpose, std::initializer_list<std::string_view> keys = {});

    std::uint64_t next() { return engine_(); }
    /// Uniform in [0, bound), without modulo bias. bound > 0.
    std::uint64_t below(std::uint64_t bound);
    /// Uniform in [0, 1), 53 bits.
    double uniform();
    /// Standard normal (Box-Muller, two uniforms a draw, the second normal discarded: no hidden state).
    double normal();
    /// A permutation of 0 … n-1 (Fisher-Yates).
    std::vector<std::int64_t> permutation(std::int64_t n);
    /// `count` distinct values of 0 … n-1 in increasing order (Floyd's sampling). count <= n.
    std::vector<std::int64_t> sample(std::int64_t n, std::int64_t count);

    /// Position, for checkpoints of long tasks.
    std::string state() const;
    void restore(const std::string& state);

private:
    std::mt19937_64 engine_;
};

}  // namespace cmsweep
