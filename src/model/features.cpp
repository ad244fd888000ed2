#include "cmsweep/model/features.hpp"

#include <algorithm>
#include <cstring>
#include <span>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/safetensors.hpp"
#include "cmsweep/model/device.hpp"

namespace cmsweep {
namespace {

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

FeatureMatrix stack(const std::vector<torch::Tensor>& parts) {
    const auto rows = at::cat(parts).contiguous();
    FeatureMatrix matrix(rows.size(0), rows.size(1));
    std::memcpy(matrix.data(), rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel()) * sizeof(float));
    return matrix;
}

}  // namespace

std::map<std::string, BlockFeatures> collect_features(const Predictor& predictor, const EvaluationText& probe,
                                                      const std::vector<std::string>& sites, const std::string& pooling,
                                                      torch::Device device, const std::string& precision,
                                                      const std::function<void()>& safe_point) {
    // parts[site][block] = pooled rows of each batch
    std::map<std::string, std::vector<std::vector<torch::Tensor>>> parts;
    const auto keep = [&](const char* site) {
        return [&parts, &pooling, site](std::int64_t block, const torch::Tensor& value) {
            auto& blocks = parts[site];
            blocks.resize(std::max(blocks.size(), static_cast<std::size_t>(block) + 1));
            blocks[static_cast<std::size_t>(block)].push_back(pool(value, pooling));
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
    const auto batch_windows = std::max<std::int64_t>(1, kEvaluationTokens / probe.context);
    for (std::int64_t first = 0; first < count; first += batch_windows) {
        if (safe_point) safe_point();
        const auto windows = std::min(batch_windows, count - first);
        Batch batch(gather_windows(*probe.split,
                                   std::span(probe.starts).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(windows)),
                                   probe.context, device));
        const PrecisionScope scope(precision, device);
        if (!predictor.show_stream(batch, hooks)) return {};
    }

    std::map<std::string, BlockFeatures> features;
    for (auto& [site, blocks] : parts) {
        for (auto& block : blocks) {
            features[site].push_back(stack(block));
            block.clear();  // with token pooling the features are large: hold them once
        }
    }
    return features;
}

void save_features(const std::filesystem::path& file, const std::map<std::string, BlockFeatures>& features) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [site, blocks] : features)
        for (std::size_t block = 0; block < blocks.size(); ++block)
            tensors.push_back({site + "." + std::to_string(block), "F32", {blocks[block].rows(), blocks[block].cols()},
                               std::as_bytes(std::span(blocks[block].data(), static_cast<std::size_t>(blocks[block].size())))});
    write_safetensors(file, tensors, {{"format", "cmsweep-features"}});
}

FeatureMatrix load_features(const std::filesystem::path& file, const std::string& site, std::int64_t block) {
    const SafetensorsFile stored(file);
    const auto format = stored.metadata().find("format");
    if (format == stored.metadata().end() || format->second != "cmsweep-features")
        throw InputError(file.string() + ": no features file (metadata format is not \"cmsweep-features\"); remove it");
    const auto* entry = stored.find(site + "." + std::to_string(block));
    if (!entry || entry->shape.size() != 2)
        throw InputError(file.string() + ": no matrix " + site + "." + std::to_string(block) + "; remove the file");
    FeatureMatrix features(entry->shape[0], entry->shape[1]);
    stored.read_float32(*entry, {features.data(), static_cast<std::size_t>(features.size())});
    return features;
}

}  // namespace cmsweep
