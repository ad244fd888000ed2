#include "cmsweep/model/features.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <stdexcept>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/device.hpp"

namespace cmsweep {
namespace {

constexpr const char* kFormat = "cmsweep-features";

/// [B, T, width] of any float type -> rows [B or B x T, width], float32, contiguous, on the CPU.
torch::Tensor pool(const torch::Tensor& stream, const std::string& pooling) {
    torch::Tensor rows;
    if (pooling == "mean") {
        // Slices are added in the order of tokens, so that the sum does not depend on how a reduction is split up.
        rows = stream.select(1, 0).to(at::kDouble);
        for (std::int64_t t = 1; t < stream.size(1); ++t) rows.add_(stream.select(1, t).to(at::kDouble));
        rows.div_(static_cast<double>(stream.size(1)));
    } else if (pooling == "last") {
        rows = stream.select(1, stream.size(1) - 1);
    } else if (pooling == "token") {
        rows = stream.reshape({-1, stream.size(2)});
    } else {
        throw InputError("similarity.pooling = \"" + pooling + "\": expected \"mean\", \"last\" or \"token\"");
    }
    return rows.to(at::kCPU, at::kFloat).contiguous();
}

/// Pooled rows of one batch: [rows, width] by site and block.
using BatchFeatures = std::map<std::string, std::vector<torch::Tensor>>;

/// A file for the features of which `batch`, of `windows` of the probe's `count` windows, is the first.
std::unique_ptr<SafetensorsWriter> open_file(const std::filesystem::path& file, const BatchFeatures& batch, std::int64_t windows,
                                             std::int64_t count) {
    std::vector<TensorEntry> tensors;
    for (const auto& [site, blocks] : batch) {
        for (std::size_t block = 0; block < blocks.size(); ++block) {
            const auto& rows = blocks[block];
            tensors.push_back({site + "." + std::to_string(block), "F32", {rows.size(0) / windows * count, rows.size(1)}});
        }
    }
    return std::make_unique<SafetensorsWriter>(file, std::move(tensors), std::map<std::string, std::string>{{"format", kFormat}});
}

}  // namespace

std::unique_ptr<SafetensorsWriter> write_features(const std::filesystem::path& file, const Predictor& predictor,
                                                  const EvaluationText& probe, const std::vector<std::string>& sites,
                                                  const std::string& pooling, torch::Device device,
                                                  const std::string& precision, const std::function<void()>& safe_point) {
    BatchFeatures features;
    const auto keep = [&](const char* site) {
        return [&pooling, &blocks = features[site]](std::int64_t block, const torch::Tensor& value) {
            blocks.resize(std::max(blocks.size(), static_cast<std::size_t>(block) + 1));
            blocks[static_cast<std::size_t>(block)] = pool(value, pooling);
        };
    };
    ForwardHooks hooks;
    for (const auto& site : sites) {
        if (site == "residual")
            hooks.residual = keep("residual");
        else if (site == "mlp_output")
            hooks.mlp_output = keep("mlp_output");
        else
            throw InputError("similarity.site = \"" + site + "\": expected \"residual\" or \"mlp_output\"");
    }

    const at::NoGradGuard no_grad;
    const auto count = static_cast<std::int64_t>(probe.starts.size());
    if (count == 0) throw std::invalid_argument("write_features: no windows");
    const auto batch_windows = std::max<std::int64_t>(1, kEvaluationTokens / probe.context);
    std::unique_ptr<SafetensorsWriter> writer;
    for (std::int64_t first = 0; first < count; first += batch_windows) {
        if (safe_point) safe_point();
        const auto windows = std::min(batch_windows, count - first);
        Batch batch(gather_windows(*probe.split,
                                   std::span(probe.starts).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(windows)),
                                   probe.context, device));
        {
            const PrecisionScope scope(precision, device);
            if (!predictor.show_stream(batch, hooks)) return nullptr;
        }
        if (!writer) writer = open_file(file, features, windows, count);
        std::size_t tensor = 0;
        for (auto& [site, blocks] : features) {
            for (auto& rows : blocks) {
                writer->append(tensor++, std::as_bytes(std::span(rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel()))));
                rows.reset();
            }
        }
    }
    return writer;
}

Features load_features(std::shared_ptr<const SafetensorsFile> file, const std::string& site, std::int64_t block) {
    const std::string name = site + "." + std::to_string(block);
    const auto refuse = [&](const std::string& what) { throw InputError(file->path().string() + ": " + what + "; remove the file"); };
    const auto format = file->metadata().find("format");
    if (format == file->metadata().end() || format->second != kFormat)
        refuse("no features file (metadata format is not \"" + std::string(kFormat) + "\")");
    const auto* entry = file->find(name);
    if (!entry || entry->shape.size() != 2 || entry->dtype != "F32") refuse("no matrix " + name + " of F32");
    if (entry->offset % alignof(float) != 0)
        refuse(name + " begins at byte " + std::to_string(entry->offset) + ", expected a multiple of " + std::to_string(alignof(float)));
    const auto* values = reinterpret_cast<const float*>(file->bytes(*entry).data());
    return {std::move(file), values, entry->shape[0], entry->shape[1]};
}

}  // namespace cmsweep
