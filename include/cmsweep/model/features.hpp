#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cmsweep/base/safetensors.hpp"
#include "cmsweep/core/similarity/features.hpp"
#include "cmsweep/model/predictor.hpp"

namespace cmsweep {

/// One forward over the probe's windows (inputs are the windows' first `context` tokens) for all blocks and all `sites`
/// ("residual", "mlp_output"). Pooling "mean" (sum in float64 over a window's tokens, in order), "last", "token".
/// The features (F32, tensors "<site>.<block>", n x width each) are written as they come, so that memory is one batch's.
/// What is returned holds all of them: commit() makes it `file`, unnamed() is for use here only. A predictor without a
/// stream gives nothing.
std::unique_ptr<SafetensorsWriter> write_features(const std::filesystem::path& file, const Predictor& predictor,
                                                  const EvaluationText& probe, const std::vector<std::string>& sites,
                                                  const std::string& pooling, torch::Device device,
                                                  const std::string& precision, const std::function<void()>& safe_point);

/// One block of them, n x width, which stays in the mapped file. Throws InputError for another kind of file.
Features load_features(std::shared_ptr<const SafetensorsFile> file, const std::string& site, std::int64_t block);

}  // namespace cmsweep
