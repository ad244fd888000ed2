#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../fixtures.hpp"
#include "cmsweep/model/combination.hpp"

namespace cmsweep {

/// A tiny base with specialists whose MLPs differ from it, and some text; combines them and scores the result.
/// Width 12, inner 48, 3 heads, 4 blocks, 20 tokens, context 16; windows of 8.
class CombinationCase : public testing::Test {
protected:
    static constexpr std::int64_t kContext = 8;

    static Geometry geometry() {
        auto made = small_geometry();
        made.blocks = 4;
        return made;
    }

    /// A copy of `from` whose MLPs (or all tensors) are moved by 0.2 x normal.
    static std::shared_ptr<const Parameters> specialist(const Parameters& from, std::uint64_t seed, std::string_view trainable = "mlp") {
        auto made = std::make_shared<Parameters>(from);
        for (const auto& name : trainable_names(from.geometry(), trainable)) {
            Stream stream(seed, "specialist", {name});
            auto moved = from[name].clone();
            for (std::int64_t i = 0; i < moved.numel(); ++i) moved.data_ptr<float>()[i] += static_cast<float>(0.2 * stream.normal());
            made->set(name, moved);
        }
        return made;
    }

    CombinationInput input(const std::string& method, const nlohmann::json& given, BlockRange blocks = {0, 3, true}) const {
        CombinationInput made;
        made.method = find_method(method);
        made.setting = complete_setting(made.method->parameters, given);
        made.base = base;
        made.members = members;
        made.host = members.front();
        made.blocks = blocks;
        made.seed = 7;
        made.training_text = {&text};
        made.target_text = text.digest();
        made.context = kContext;
        return made;
    }

    Combination combined(const std::string& method, const nlohmann::json& given = nlohmann::json::object(),
                         BlockRange blocks = {0, 3, true}) const {
        return combine(input(method, given, blocks));
    }

    /// Losses [B, T] of a predictor on fixed windows.
    at::Tensor losses(const Predictor& predictor) const {
        const at::NoGradGuard no_grad;
        Batch batch(windows);
        return predictor.score(batch).loss;
    }
    at::Tensor losses(const Combination& combination) const { return losses(*combination.predictor); }
    at::Tensor losses(const std::shared_ptr<const Parameters>& network) const { return losses(NetworkPredictor(network)); }

    /// Losses of the host's network with another MLP in the chosen blocks: the oracle for everything with a stream.
    at::Tensor losses_with_mlp(const Parameters& host, BlockRange blocks,
                               const std::function<at::Tensor(std::int64_t block, const at::Tensor& input)>& mlp) const {
        const at::NoGradGuard no_grad;
        ForwardHooks hooks;
        hooks.mlp = [&](std::int64_t block, const at::Tensor& x) {
            return block >= blocks.first && block <= blocks.last ? mlp(block, x) : run_mlp(host, block, x);
        };
        const auto logits = forward(host, windows.narrow(1, 0, kContext), hooks);
        return score_logits(logits, windows.narrow(1, 1, kContext)).loss;
    }

    ScratchFolder scratch;
    std::shared_ptr<const Parameters> base = std::make_shared<Parameters>(lively_parameters(geometry(), 1));
    std::vector<std::shared_ptr<const Parameters>> members{specialist(*base, 11), specialist(*base, 12)};
    StoredSplit text = make_split(scratch.path(), 2000, 20, 3);
    at::Tensor windows = random_ids(3, kContext + 1, 20, 5);
};

/// Sums over about 10 to 50 float32 terms of size 1 in another order.
inline constexpr double kRounding = 1e-5;

inline testing::AssertionResult near(const at::Tensor& a, const at::Tensor& b, double tolerance = kRounding) {
    const double difference = (a - b).abs().max().item<double>();
    if (difference <= tolerance) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "differ by up to " << difference;
}

}  // namespace cmsweep
