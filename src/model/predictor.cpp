#include "cmsweep/model/predictor.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <ATen/ATen.h>

#include "cmsweep/model/cost.hpp"
#include "cmsweep/model/device.hpp"

namespace cmsweep {
namespace {

/// Scores held at once while a vocabulary is walked: 64 MiB of float32. Fixed, since bits may depend on it.
constexpr std::int64_t kLogitsAtOnce = std::int64_t{1} << 24;

std::int64_t rows_at_once(std::int64_t vocabulary) {
    return std::max<std::int64_t>(1, kLogitsAtOnce / vocabulary);
}

/// Scores of rows [n, …] in chunks; `logits(first, count)` gives [count, V] of any float type.
template <typename Logits>
TokenScores score_rows(const Logits& logits, const torch::Tensor& targets, std::int64_t vocabulary) {
    const auto flat = targets.reshape({-1});
    const auto count = flat.size(0), chunk = rows_at_once(vocabulary);
    std::vector<torch::Tensor> losses, corrects;
    for (std::int64_t first = 0; first < count; first += chunk) {
        const auto rows = std::min(chunk, count - first);
        const auto part = logits(first, rows).to(at::kFloat);
        const auto wanted = flat.narrow(0, first, rows);
        losses.push_back(-at::log_softmax(part, -1).gather(1, wanted.unsqueeze(1)).squeeze(1));
        corrects.push_back(part.argmax(-1) == wanted);
    }
    return {at::cat(losses).view(targets.sizes()), at::cat(corrects).view(targets.sizes())};
}

struct Sums {
    double loss = 0, suffix = 0;
    std::int64_t correct = 0;
    std::array<double, 64> block_loss{};
};

}  // namespace

Batch::Batch(torch::Tensor windows) : windows_(std::move(windows)) {}

torch::Tensor Batch::ids() const {
    return windows_.narrow(1, 0, windows_.size(1) - 1);
}

torch::Tensor Batch::targets() const {
    return windows_.narrow(1, 1, windows_.size(1) - 1);
}

torch::Tensor Batch::stream_before(const Parameters& parameters, std::int64_t block) {
    // Shared by predictors that must not see each other's graphs.
    const at::NoGradGuard no_grad;
    auto& known = streams_[&parameters];
    auto above = known.upper_bound(block);
    if (above == known.begin()) above = std::next(known.emplace_hint(above, 0, embed(parameters, ids())));
    const auto& [start, stream] = *std::prev(above);
    if (start == block) return stream;
    return known.emplace(block, run_blocks(parameters, stream, start, block)).first->second;
}

TokenScores score_logits(const torch::Tensor& logits, const torch::Tensor& targets) {
    const auto vocabulary = logits.size(-1);
    const auto flat = logits.reshape({-1, vocabulary});
    return score_rows([&](std::int64_t first, std::int64_t count) { return flat.narrow(0, first, count); }, targets, vocabulary);
}

TokenScores score_stream(const Parameters& parameters, const torch::Tensor& stream, const torch::Tensor& targets) {
    const auto normed = final_norm(parameters, stream).reshape({-1, parameters.geometry().width});
    return score_rows([&](std::int64_t first, std::int64_t count) { return project(parameters, normed.narrow(0, first, count)); },
                      targets, parameters.geometry().vocabulary);
}

TokenScores NetworkPredictor::score(Batch& batch) const {
    return score_stream(*parameters_, batch.stream_before(*parameters_, parameters_->geometry().blocks), batch.targets());
}

Cost NetworkPredictor::cost(std::int64_t context) const {
    return network_cost(*parameters_, context);
}

bool NetworkPredictor::show_stream(Batch& batch, const ForwardHooks& hooks) const {
    run_blocks(*parameters_, embed(*parameters_, batch.ids()), 0, parameters_->geometry().blocks, hooks);
    return true;
}

torch::Tensor gather_windows(const StoredSplit& split, std::span<const std::uint64_t> starts, std::int64_t context, torch::Device device) {
    const auto width = context + 1;
    auto windows = at::empty({static_cast<std::int64_t>(starts.size()), width}, at::kLong);
    auto* out = windows.data_ptr<std::int64_t>();
    for (std::size_t i = 0; i < starts.size(); ++i) {
        if (starts[i] + static_cast<std::uint64_t>(width) > split.size())
            throw std::out_of_range("window at token " + std::to_string(starts[i]) + " of " + std::to_string(width) +
                                    " tokens: the split has " + std::to_string(split.size()));
        split.copy(starts[i], {out + static_cast<std::int64_t>(i) * width, static_cast<std::size_t>(width)});
    }
    return windows.to(device);
}

std::vector<EvaluationResult> evaluate(std::span<const Predictor* const> predictors, const EvaluationText& text, torch::Device device,
                                       const std::string& precision, const std::function<void()>& safe_point) {
    const auto count = static_cast<std::int64_t>(text.starts.size());
    const auto context = text.context;
    const auto suffix_start = context / 4;
    if (count == 0) throw std::invalid_argument("evaluate: no windows");
    const auto block_count = static_cast<std::int64_t>(EvaluationResult{}.block_loss.size());
    const auto batch_windows = std::max<std::int64_t>(1, kEvaluationTokens / context);
    const at::NoGradGuard no_grad;

    std::vector<Sums> sums(predictors.size());
    std::vector<std::int64_t> block_windows(static_cast<std::size_t>(block_count), 0);
    for (std::int64_t first = 0; first < count; first += batch_windows) {
        if (safe_point) safe_point();
        const auto windows = std::min(batch_windows, count - first);
        Batch batch(gather_windows(*text.split, std::span(text.starts).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(windows)),
                                   context, device));
        for (std::size_t p = 0; p < predictors.size(); ++p) {
            TokenScores scores;
            {
                const PrecisionScope scope(precision, device);
                scores = predictors[p]->score(batch);
            }
            const auto loss = scores.loss.to(at::kCPU).contiguous();
            const auto* values = loss.data_ptr<float>();
            auto& sum = sums[p];
            sum.correct += scores.correct.sum().item<std::int64_t>();
            for (std::int64_t w = 0; w < windows; ++w) {
                double prefix = 0, suffix = 0;
                for (std::int64_t t = 0; t < context; ++t) (t < suffix_start ? prefix : suffix) += values[w * context + t];
                sum.loss += prefix + suffix;
                sum.suffix += suffix;
                sum.block_loss[static_cast<std::size_t>((first + w) * block_count / count)] += prefix + suffix;
            }
        }
        for (std::int64_t w = 0; w < windows; ++w) ++block_windows[static_cast<std::size_t>((first + w) * block_count / count)];
    }

    constexpr auto nan = std::numeric_limits<double>::quiet_NaN();
    std::vector<EvaluationResult> results;
    for (const auto& sum : sums) {
        EvaluationResult result;
        result.tokens = count * context;
        const bool finite = std::isfinite(sum.loss);
        result.loss = finite ? sum.loss / static_cast<double>(result.tokens) : nan;
        result.accuracy = finite ? static_cast<double>(sum.correct) / static_cast<double>(result.tokens) : nan;
        result.loss_suffix = finite ? sum.suffix / static_cast<double>(count * (context - suffix_start)) : nan;
        for (std::size_t b = 0; b < result.block_loss.size(); ++b)
            result.block_loss[b] = finite && block_windows[b] > 0 ? sum.block_loss[b] / static_cast<double>(block_windows[b] * context) : nan;
        results.push_back(result);
    }
    return results;
}

}  // namespace cmsweep
