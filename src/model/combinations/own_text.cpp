#include "own_text.hpp"

#include <algorithm>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/device.hpp"
#include "learned.hpp"

namespace cmsweep {

const StoredSplit& own_text(const CombinationInput& input, std::size_t i) {
    const auto& text = input.training_text;
    if (text.size() == input.members.size()) return *text[i];
    if (text.size() == 1) return *text.front();
    throw InputError(input.method->name + ": " + std::to_string(text.size()) + " training texts for " +
                     std::to_string(input.members.size()) + " members: expected one each, in their order, or one for all");
}

void visit_own_text(const CombinationInput& input, std::size_t i, std::int64_t windows, std::int64_t at_once, std::string_view purpose,
                    const std::function<void(const torch::Tensor& windows)>& visit) {
    const auto context = window_context(input);
    const auto device = input.members[i]->device();
    WindowSampler sampler({{&own_text(input, i), 1.0}}, context, 1, input.seed, purpose, "");
    for (std::int64_t first = 0; first < windows; first += at_once) {
        if (input.safe_point) input.safe_point();
        std::vector<torch::Tensor> batch;
        for (std::int64_t w = first; w < std::min(windows, first + at_once); ++w) batch.push_back(sampler.next(device));
        const PrecisionScope scope(input.precision, device);
        visit(at::cat(batch));
    }
}

std::int64_t own_target_tokens(const CombinationInput& input, std::int64_t windows) {
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < input.members.size(); ++i)
        if (own_text(input, i).digest() == input.target_text) tokens += windows * window_context(input);
    return tokens;
}

}  // namespace cmsweep
