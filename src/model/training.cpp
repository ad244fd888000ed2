#include "cmsweep/model/training.hpp"

#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <sstream>

#include <torch/nn/utils/clip_grad.h>
#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/base/safetensors.hpp"
#include "tensor_io.hpp"

namespace cmsweep {
namespace {

constexpr const char* kResumeFormat = "cmsweep-training";

struct Progress {
    std::int64_t step = 0;  ///< steps done
    TrainingCurve curve;
};

/// Everything between two steps. The optimiser's state goes through torch's own serialisation, which differs between
/// its versions but keeps bits within one.
void save_progress(const ResumePoint& resume, const Progress& progress, const std::vector<torch::Tensor>& trained,
                   const torch::optim::AdamW& optimizer) {
    std::ostringstream stream;
    torch::serialize::OutputArchive archive;
    optimizer.save(archive);
    archive.save_to(stream);
    const std::string moments = stream.str();

    std::vector<torch::Tensor> held;
    std::vector<TensorToWrite> tensors;
    for (std::size_t i = 0; i < trained.size(); ++i) tensors.push_back(to_write("trained." + std::to_string(i), trained[i], held));
    const std::string extra = resume.extra_state ? resume.extra_state() : std::string();
    tensors.push_back({"optimizer", "U8", {static_cast<std::int64_t>(moments.size())}, std::as_bytes(std::span(moments))});
    tensors.push_back({"extra", "U8", {static_cast<std::int64_t>(extra.size())}, std::as_bytes(std::span(extra))});
    const auto steps = static_cast<std::int64_t>(progress.curve.loss.size());
    tensors.push_back({"curve.loss", "F64", {steps}, std::as_bytes(std::span(progress.curve.loss))});
    tensors.push_back({"curve.learning_rate", "F64", {steps}, std::as_bytes(std::span(progress.curve.learning_rate))});
    write_safetensors(resume.file, tensors,
                      {{"format", kResumeFormat},
                       {"identity", resume.identity},
                       {"step", std::to_string(progress.step)},
                       {"content", content_digest(tensors)}});
}

std::span<const std::byte> bytes_of(const SafetensorsFile& file, const std::string& name) {
    const auto* entry = file.find(name);
    if (!entry) throw InputError(file.path().string() + ": no tensor " + name);
    return file.bytes(*entry);
}

std::vector<double> read_doubles(const SafetensorsFile& file, const char* name) {
    const auto bytes = bytes_of(file, name);
    std::vector<double> values(bytes.size() / sizeof(double));
    std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
    return values;
}

/// The file of this trajectory, or nothing: a damaged or foreign one costs time only, since training from the start gives
/// the same numbers.
std::optional<SafetensorsFile> open_progress(const ResumePoint& resume) {
    if (resume.file.empty() || !std::filesystem::exists(resume.file)) return std::nullopt;
    try {
        SafetensorsFile file(resume.file);
        auto metadata = file.metadata();
        if (metadata["format"] != kResumeFormat || metadata["identity"] != resume.identity || metadata["content"] != content_digest(file))
            return std::nullopt;
        return file;
    } catch (const InputError&) {
        return std::nullopt;
    }
}

std::optional<Progress> load_progress(const ResumePoint& resume, std::int64_t steps, std::vector<torch::Tensor>& trained,
                                      torch::optim::AdamW& optimizer) {
    const auto file = open_progress(resume);
    if (!file) return std::nullopt;
    Progress progress;
    progress.step = std::stoll(file->metadata().at("step"));
    if (progress.step > steps) return std::nullopt;  // a constant schedule whose end has been moved back
    progress.curve = {read_doubles(*file, "curve.loss"), read_doubles(*file, "curve.learning_rate")};
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < trained.size(); ++i) {
        auto saved = at::empty(trained[i].sizes(), at::kFloat);
        file->read_float32(*file->find("trained." + std::to_string(i)), floats(saved));
        trained[i].copy_(saved);
    }
    const auto moments = bytes_of(*file, "optimizer");
    torch::serialize::InputArchive archive;
    archive.load_from(reinterpret_cast<const char*>(moments.data()), moments.size(), trained.front().device());
    optimizer.load(archive);
    const auto extra = bytes_of(*file, "extra");
    if (resume.restore_extra) resume.restore_extra({reinterpret_cast<const char*>(extra.data()), extra.size()});
    return progress;
}

[[noreturn]] void fail(const char* what, double value, std::int64_t step) {
    throw NumericError(std::string("training: the ") + what + " is " + (std::isnan(value) ? "nan" : "infinite") + " at step " +
                       std::to_string(step) + "; a lower learning rate may help");
}

}  // namespace

TrainingCurve train(std::vector<torch::Tensor>& trained, const TrainingConfig& config,
                    const std::function<torch::Tensor(std::int64_t step)>& step_loss, const TrainingHooks& hooks,
                    const ResumePoint& resume) {
    torch::optim::AdamW optimizer(
        trained,
        torch::optim::AdamWOptions(config.learning_rate).betas({config.beta1, config.beta2}).weight_decay(config.weight_decay));
    const auto loaded = load_progress(resume, config.steps, trained, optimizer);
    Progress progress = loaded.value_or(Progress{});
    if (!loaded && hooks.finished) hooks.finished(0);

    using Clock = std::chrono::steady_clock;
    auto saved_at = Clock::now();
    const auto save = [&] {
        if (!resume.file.empty()) save_progress(resume, progress, trained, optimizer);
        saved_at = Clock::now();
    };
    while (progress.step < config.steps) {
        const auto step = progress.step;
        fault_point("train.step");
        if (hooks.safe_point) {
            try {
                hooks.safe_point();
            } catch (const StopRequest&) {
                save();
                throw;
            }
        }
        const auto loss = step_loss(step);
        const double value = loss.item<double>();
        if (!std::isfinite(value)) fail("loss", value, step);
        loss.backward();
        if (config.gradient_clip > 0) {
            const double norm = torch::nn::utils::clip_grad_norm_(trained, config.gradient_clip);
            if (!std::isfinite(norm)) fail("gradient's norm", norm, step);
        }
        const double rate = config.rate(step);
        for (auto& group : optimizer.param_groups()) static_cast<torch::optim::AdamWOptions&>(group.options()).lr(rate);
        optimizer.step();
        // Undefined rather than zeroed: the next backward then moves its result in instead of adding to zeros.
        for (auto& tensor : trained) tensor.mutable_grad() = torch::Tensor();
        progress.curve.loss.push_back(value);
        progress.curve.learning_rate.push_back(rate);
        progress.step = step + 1;
        if (hooks.finished) hooks.finished(progress.step);
        if (!resume.file.empty() && progress.step < config.steps &&
            std::chrono::duration<double>(Clock::now() - saved_at).count() >= resume.save_seconds)
            save();
    }
    if (!resume.file.empty()) {
        std::error_code absent;
        std::filesystem::remove(resume.file, absent);
    }
    return progress.curve;
}

}  // namespace cmsweep
