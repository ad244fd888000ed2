#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <torch/types.h>

#include "cmsweep/core/training.hpp"
#include "cmsweep/model/corpus.hpp"
#include "cmsweep/model/network.hpp"

namespace cmsweep {

/// Training text: windows that start anywhere, drawn with replacement from a stream named by (seed, purpose, text, salt).
/// Several sources: each batch has a fixed number of windows from each (largest remainder of batch x share, first source first).
class WindowSampler {
public:
    struct Source {
        const StoredSplit* split = nullptr;
        double share = 1;
    };
    /// `salt` tells twins apart ("" for the specialist itself, "1" for its first twin).
    WindowSampler(std::vector<Source> sources, std::int64_t context, std::int64_t batch, std::uint64_t seed,
                  std::string_view purpose, std::string_view salt);
    /// [batch, context + 1] int64 on `device`.
    torch::Tensor next(torch::Device device);
    /// Windows of each batch that come from this split.
    std::int64_t windows_from(const Id& split) const;
    std::string state() const;
    void restore(const std::string& state);

private:
    std::vector<Source> sources_;
    std::vector<std::int64_t> counts_;
    std::vector<Stream> streams_;
    std::int64_t context_;
};

struct TrainingCurve {
    std::vector<double> loss;           ///< of each step's batch, before the step
    std::vector<double> learning_rate;
};

/// What a training loop tells its owner. Any may be empty.
struct TrainingHooks {
    std::function<void()> safe_point;                 ///< between steps; may throw StopRequest
    std::function<void(std::int64_t step)> finished;  ///< called after `step` steps (1 … steps), and with 0 before the first unless resumed
};

/// AdamW with the config's schedule, clipping and weight decay over leaf tensors `trained` (requires_grad), `config.steps`
/// times: loss = step_loss(step). If `resume` is not empty: state (tensors, moments, `extra_state`) is saved there when
/// a StopRequest passes and every `save_seconds`, read from there at the start if it is there and belongs to `identity`,
/// and removed at the end; the continued run equals an undisturbed one bit for bit.
/// Throws NumericError on a non-finite loss (step and value in the message).
struct ResumePoint {
    std::filesystem::path file;  ///< empty: no saving
    std::string identity;        ///< of the trajectory; a file of another identity is ignored
    double save_seconds = 60;
    std::function<std::string()> extra_state;           ///< data position
    std::function<void(const std::string&)> restore_extra;
};
TrainingCurve train(std::vector<torch::Tensor>& trained, const TrainingConfig& config,
                    const std::function<torch::Tensor(std::int64_t step)>& step_loss, const TrainingHooks& hooks,
                    const ResumePoint& resume);

/// Fine-tunes (or pretrains) a network. The result's untrained tensors are those of `start`, by handle.
/// `checkpoint(degree, parameters)` is called for every degree of `degrees` in increasing order (0 = `start` itself is
/// skipped), as soon as that step is done; after resuming, only for later ones.
struct FineTuneResult {
    Parameters parameters;
    TrainingCurve curve;
};
FineTuneResult fine_tune(const Parameters& start, const TrainingConfig& config, WindowSampler& sampler,
                         std::span<const std::int64_t> degrees, const std::string& precision,
                         const std::function<void(std::int64_t degree, const Parameters& parameters)>& checkpoint,
                         const std::function<void()>& safe_point, const ResumePoint& resume);

}  // namespace cmsweep
