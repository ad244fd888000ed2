#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cmsweep/model/corpus.hpp"
#include "cmsweep/model/network.hpp"

namespace cmsweep {

/// What a combination costs; see "Cost" in the design. Filled by every Predictor for a context length.
struct Cost {
    std::int64_t stored = 0;         ///< distinct scalars, shared and tied ones once
    std::int64_t active = 0;         ///< scalars used for one token
    std::int64_t trained = 0;        ///< scalars trained by the combination itself
    std::int64_t target_tokens = 0;  ///< tokens of the target's training text seen
    double flops_per_token = 0;      ///< a multiply-add is 2
};

/// One batch of evaluation windows, with work that several predictors share: the stream of an unmodified network before
/// a block, and its normed final stream, each computed once. Lives for one batch.
class Batch {
public:
    /// windows: [B, T + 1] int64 on the device.
    explicit Batch(torch::Tensor windows);
    const torch::Tensor& windows() const { return windows_; }
    torch::Tensor ids() const;      ///< [B, T] inputs
    torch::Tensor targets() const;  ///< [B, T]
    /// Residual stream of `parameters`' own network before `block` (block = blocks: before the final norm). Memoised by the
    /// address of `parameters`, which must outlive the batch.
    torch::Tensor stream_before(const Parameters& parameters, std::int64_t block);

private:
    torch::Tensor windows_;
    std::map<const Parameters*, std::map<std::int64_t, torch::Tensor>> streams_;
};

/// Per-token outcome of a batch.
struct TokenScores {
    torch::Tensor loss;     ///< [B, T] float32, nats
    torch::Tensor correct;  ///< [B, T] bool, top-1
};
/// Cross-entropy and top-1 of logits [B, T, V] (any float type; computed in float32) against targets [B, T].
TokenScores score_logits(const torch::Tensor& logits, const torch::Tensor& targets);

/// The same from a residual stream [B, T, width] before the final norm, in chunks of tokens: the logits of a large
/// vocabulary never exist all at once.
TokenScores score_stream(const Parameters& parameters, const torch::Tensor& stream, const torch::Tensor& targets);

/// Anything that predicts next tokens: a network, a merged network, a routed stack, an ensemble.
class Predictor {
public:
    virtual ~Predictor() = default;
    virtual TokenScores score(Batch& batch) const = 0;
    virtual Cost cost(std::int64_t context) const = 0;
    /// Calls hooks.residual / hooks.mlp_output for every block with this predictor's own stream. Output-space
    /// predictors have none and return false.
    virtual bool show_stream(Batch& batch, const ForwardHooks& hooks) const = 0;
};

/// A single network.
class NetworkPredictor : public Predictor {
public:
    explicit NetworkPredictor(std::shared_ptr<const Parameters> parameters) : parameters_(std::move(parameters)) {}
    TokenScores score(Batch& batch) const override;
    Cost cost(std::int64_t context) const override;
    bool show_stream(Batch& batch, const ForwardHooks& hooks) const override;

private:
    std::shared_ptr<const Parameters> parameters_;
};

/// Windows of a split on the device, made once and scored by many predictors.
struct EvaluationText {
    const StoredSplit* split = nullptr;
    std::vector<std::uint64_t> starts;  ///< see evaluation_starts()
    std::int64_t context = 0;
};

struct EvaluationResult {
    double loss = 0;      ///< nats, mean over all predicted tokens
    double accuracy = 0;  ///< top-1
    double loss_suffix = 0;  ///< mean loss over the tokens beyond the first context/4 of each window
    std::int64_t tokens = 0;
    /// mean loss of 64 near-equal runs of consecutive windows: window w of n in run floor(64 w / n) (NaN: an empty run, where n < 64)
    std::array<double, 64> block_loss{};
};

inline constexpr std::int64_t kEvaluationTokens = 2048;  ///< windows a batch = max(1, this / context): fixed, since bits may depend on it

/// Scores every predictor on the same windows; batch after batch, all predictors on each, sharing Batch's work.
/// Sums in float64 in window order. `safe_point` is called between batches and may throw.
/// A predictor whose loss is not finite gets NaN in its result; the caller turns that into a failure of its row alone.
std::vector<EvaluationResult> evaluate(std::span<const Predictor* const> predictors, const EvaluationText& text,
                                       torch::Device device, const std::string& precision,
                                       const std::function<void()>& safe_point);

/// [count, context + 1] int64 windows of a split on the device.
torch::Tensor gather_windows(const StoredSplit& split, std::span<const std::uint64_t> starts, std::int64_t context, torch::Device device);

}  // namespace cmsweep
