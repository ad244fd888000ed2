#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cmsweep/core/similarity/metric.hpp"
#include "cmsweep/model/predictor.hpp"

namespace cmsweep {

/// One representation: features of every block at one site, n x width each.
using BlockFeatures = std::vector<FeatureMatrix>;

/// One forward over the probe's windows (inputs are the windows' first `context` tokens) for all blocks and all `sites`
/// ("residual", "mlp_output"). Pooling "mean" (sum in float64 over a window's tokens, in order), "last", "token".
/// A predictor without a stream gives an empty map.
std::map<std::string, BlockFeatures> collect_features(const Predictor& predictor, const EvaluationText& probe,
                                                      const std::vector<std::string>& sites, const std::string& pooling,
                                                      torch::Device device, const std::string& precision,
                                                      const std::function<void()>& safe_point);

/// Features of one representation on disk (safetensors, F32, tensors "<site>.<block>"), atomically.
void save_features(const std::filesystem::path& file, const std::map<std::string, BlockFeatures>& features);
/// One block of them, n x width.
FeatureMatrix load_features(const std::filesystem::path& file, const std::string& site, std::int64_t block);

}  // namespace cmsweep
