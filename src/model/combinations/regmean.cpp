#include <algorithm>
#include <map>

#include <ATen/ATen.h>

#include "cmsweep/model/device.hpp"
#include "own_text.hpp"
#include "statistics.hpp"

namespace cmsweep {

Statistics input_grams(const StatisticsInput& input) {
    const auto& combination = input.combination;
    const std::int64_t windows = combination.setting.at("windows");
    input.target_tokens = own_target_tokens(combination, windows);
    Statistics grams;
    for (std::size_t i = 0; i < combination.members.size(); ++i) {
        const auto& member = *combination.members[i];
        std::map<std::string, torch::Tensor> sums;  // float64, of the linear maps that are merged
        for (const auto& tensor : input.tensors) {
            const bool head = tensor.name == "lm_head.weight";
            const auto inputs = tensor.shape[head ? 1 : 0];
            if (tensor.transposed || head)
                sums.emplace(tensor.name, at::zeros({inputs, inputs}, at::TensorOptions(at::kDouble).device(member.device())));
        }
        std::int64_t tokens = 0;
        const auto see = [&](const std::string& name, const torch::Tensor& rows) {
            if (const auto sum = sums.find(name); sum != sums.end()) {
                const PrecisionScope full("float32", rows.device());  // what is averaged may be rounded, its products not
                const auto x = rows.reshape({-1, rows.size(-1)}).to(at::kFloat);
                sum->second.add_(at::mm(x.t(), x));
            }
        };
        ForwardHooks hooks;
        hooks.linear_input = see;
        const auto length = combination.context > 0 ? combination.context : member.geometry().context;
        const at::NoGradGuard no_grad;
        visit_own_text(combination, i, windows, std::max<std::int64_t>(1, kEvaluationTokens / length), "regmean_batches",
                       [&](const torch::Tensor& batch) {
                           const auto ids = batch.narrow(1, 0, batch.size(1) - 1);
                           const auto stream = run_blocks(member, embed(member, ids), 0, member.geometry().blocks, hooks);
                           see("lm_head.weight", final_norm(member, stream));
                           tokens += ids.numel();
                       });
        auto& of_member = grams.emplace_back();
        for (const auto& tensor : input.tensors) {
            const auto sum = sums.find(tensor.name);
            of_member.push_back(sum == sums.end() ? at::empty({0}, at::kFloat)
                                                  : (sum->second / static_cast<double>(tokens)).to(at::kCPU, at::kFloat).contiguous());
        }
    }
    return grams;
}

}  // namespace cmsweep
