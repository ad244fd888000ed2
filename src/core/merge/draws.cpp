#include "draws.hpp"

#include <optional>
#include <string>

#include "cmsweep/base/random.hpp"

namespace cmsweep {
namespace {

class StreamDraws final : public Draws {
public:
    explicit StreamDraws(Stream stream) : stream_(std::move(stream)) {}
    void next(std::span<std::uint32_t> out) override {
        for (auto& draw : out) {
            if (left_) {
                draw = *left_;
                left_.reset();
            } else {
                const std::uint64_t both = stream_.next();
                draw = static_cast<std::uint32_t>(both >> 32);
                left_ = static_cast<std::uint32_t>(both);
            }
        }
    }

private:
    Stream stream_;
    std::optional<std::uint32_t> left_;  ///< lower half of the last 64 bits
};

}  // namespace

DrawSource stream_draws(const ParameterMergeInput& input) {
    return [&input](std::size_t member, std::size_t tensor) -> std::unique_ptr<Draws> {
        const std::string key = member < input.member_keys.size() ? input.member_keys[member] : std::to_string(member);
        return std::make_unique<StreamDraws>(Stream(input.seed, "drop", {key, input.tensors[tensor].name}));
    };
}

}  // namespace cmsweep
