#include "cmsweep/base/random.hpp"

#include <algorithm>
#include <cmath>
#include <locale>
#include <numbers>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <unordered_set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/id.hpp"

namespace cmsweep {
namespace {

void append_word(std::string& out, std::uint64_t value) {
    for (int shift = 0; shift < 64; shift += 8) out += static_cast<char>((value >> shift) & 0xff);
}

void append_text(std::string& out, std::string_view text) {
    append_word(out, text.size());
    out += text;
}

/// The name of a stream as bytes: the seed, then purpose and keys, each behind its length, all words 64-bit
/// little-endian. The lengths keep ("ab", "c") and ("a", "bc") apart. Changing this changes every draw.
std::uint64_t engine_seed(std::uint64_t seed, std::string_view purpose, std::initializer_list<std::string_view> keys) {
    std::string name;
    append_word(name, seed);
    append_text(name, purpose);
    for (const auto key : keys) append_text(name, key);
    return hash_text(name).low;
}

}  // namespace

Stream::Stream(std::uint64_t seed, std::string_view purpose, std::initializer_list<std::string_view> keys)
    : engine_(engine_seed(seed, purpose, keys)) {}

std::uint64_t Stream::below(std::uint64_t bound) {
    if (bound == 0) throw std::invalid_argument("Stream::below: bound 0, expected at least 1");
    const std::uint64_t rejected = (0 - bound) % bound;  // 2^64 mod bound: what is left divides evenly
    for (;;) {
        const std::uint64_t value = next();
        if (value >= rejected) return value % bound;
    }
}

double Stream::uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }

double Stream::normal() {
    const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));  // 1 - u is in (0, 1]: no log(0)
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

std::vector<std::int64_t> Stream::permutation(std::int64_t n) {
    if (n < 0) throw std::invalid_argument("Stream::permutation: n = " + std::to_string(n) + ", expected at least 0");
    std::vector<std::int64_t> order(n);
    std::iota(order.begin(), order.end(), 0);
    for (std::int64_t i = n - 1; i > 0; --i) std::swap(order[i], order[below(i + 1)]);
    return order;
}

std::vector<std::int64_t> Stream::sample(std::int64_t n, std::int64_t count) {
    if (count < 0 || count > n) {
        throw std::invalid_argument("Stream::sample: " + std::to_string(count) + " of " + std::to_string(n) +
                                    ", expected 0 <= count <= n");
    }
    std::vector<std::int64_t> values;
    values.reserve(count);
    std::unordered_set<std::int64_t> seen;
    seen.reserve(count);
    for (std::int64_t last = n - count; last < n; ++last) {
        const auto drawn = static_cast<std::int64_t>(below(last + 1));
        const std::int64_t value = seen.contains(drawn) ? last : drawn;
        seen.insert(value);
        values.push_back(value);
    }
    std::sort(values.begin(), values.end());
    return values;
}

std::string Stream::state() const {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    out << engine_;
    return out.str();
}

void Stream::restore(const std::string& state) {
    std::istringstream in(state);
    in.imbue(std::locale::classic());
    std::mt19937_64 engine;
    if (!(in >> engine) || !(in >> std::ws).eof()) {
        throw InputError("saved position of a random stream is damaged (" + std::to_string(state.size()) +
                         " characters): expected the 313 numbers of mt19937_64; delete the file that holds it");
    }
    engine_ = engine;
}

}  // namespace cmsweep
