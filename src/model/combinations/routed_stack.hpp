#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "host_stream.hpp"
#include "router.hpp"

namespace cmsweep {

/// One MLP among those that a routed block chooses from.
struct Expert {
    std::shared_ptr<const Parameters> network;
    std::int64_t block = 0;      ///< whose MLP
    std::size_t same_as = 0;     ///< the first expert of this list with the very same tensors: run once
};

/// Block indices whose MLPs are experts of `block`, in order: block, block + 1, … and, past the top of the stack,
/// block - 1, block - 2, …
std::vector<std::int64_t> expert_blocks(std::int64_t block, std::int64_t span, std::int64_t blocks);

/// The host's stack with routed MLPs in the chosen blocks.
class RoutedStack final : public HostStreamPredictor {
public:
    /// Sees the routing weights [B, T, experts] of each chosen block, after top-k.
    using Observer = std::function<void(std::int64_t block, const torch::Tensor& weights)>;

    /// Untrained. Reads members, base, host, blocks, seed and the setting.
    explicit RoutedStack(const CombinationInput& input);

    Cost cost(std::int64_t context) const override;
    /// All routers' weights, for training.
    std::vector<torch::Tensor> router_tensors() const;
    /// ids [B, T] -> stream before the final norm [B, T, width]; differentiable in the routers' weights.
    torch::Tensor stream(const torch::Tensor& ids) const;
    /// One forward of the chosen blocks only.
    void observe(Batch& batch, const Observer& observer) const;
    /// Per chosen block.
    const std::vector<std::vector<Expert>>& experts() const { return experts_; }
    const Parameters& network() const { return host(); }

private:
    ForwardHooks chosen_blocks(const ForwardHooks& shown) const override { return routed(shown, {}); }
    ForwardHooks routed(const ForwardHooks& shown, const Observer& observer) const;

    std::vector<std::vector<Expert>> experts_;
    std::vector<Router> routers_;  ///< one a chosen block, or one for all
    std::int64_t keep_ = 0;        ///< experts kept for a token
    bool renormalise_ = false;
    std::int64_t target_tokens_ = 0;
};

}  // namespace cmsweep
