#include "draws.hpp"

#include <string>

#include "cmsweep/base/random.hpp"

namespace cmsweep {
namespace {

/// SplitMix64 (Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators), two draws a word: a number of
/// the sequence depends on its place only, so that the processor works on several at once.
class StreamDraws final : public Draws {
public:
    explicit StreamDraws(std::uint64_t start) : start_(start) {}
    void next(std::span<std::uint32_t> out) override {
        std::size_t e = 0;
        if (place_ % 2 == 1 && !out.empty()) out[e++] = static_cast<std::uint32_t>(word(place_ / 2));
        for (std::uint64_t at = (place_ + 1) / 2; e + 2 <= out.size(); e += 2, ++at) {
            const std::uint64_t both = word(at);
            out[e] = static_cast<std::uint32_t>(both >> 32);
            out[e + 1] = static_cast<std::uint32_t>(both);
        }
        if (e < out.size()) out[e] = static_cast<std::uint32_t>(word((place_ + e) / 2) >> 32);
        place_ += out.size();
    }

private:
    std::uint64_t word(std::uint64_t at) const {
        std::uint64_t z = start_ + (at + 1) * 0x9e3779b97f4a7c15U;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
        z = (z ^ z >> 27) * 0x94d049bb133111ebU;
        return z ^ z >> 31;
    }

    std::uint64_t start_;
    std::uint64_t place_ = 0;  ///< of the next draw
};

}  // namespace

DrawSource stream_draws(const ParameterMergeInput& input) {
    return [&input](std::size_t member, std::size_t tensor) -> std::unique_ptr<Draws> {
        const std::string key = member < input.member_keys.size() ? input.member_keys[member] : std::to_string(member);
        return std::make_unique<StreamDraws>(Stream(input.seed, "drop", {key, input.tensors[tensor].name}).next());
    };
}

}  // namespace cmsweep
