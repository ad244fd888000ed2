#include "host_stream.hpp"

#include "cmsweep/model/cost.hpp"

namespace cmsweep {

TokenScores HostStreamPredictor::score(Batch& batch) const {
    auto stream = batch.stream_before(host(), blocks_.first);
    stream = run_blocks(host(), std::move(stream), blocks_.first, blocks_.last + 1, chosen_blocks({}));
    stream = run_blocks(host(), std::move(stream), blocks_.last + 1, host().geometry().blocks);
    return score_stream(host(), stream, batch.targets());
}

bool HostStreamPredictor::show_stream(Batch& batch, const ForwardHooks& hooks) const {
    // Not from the batch's shared stream: the hooks are to see the blocks before the chosen ones too.
    auto stream = run_blocks(host(), embed(host(), batch.ids()), 0, blocks_.first, hooks);
    stream = run_blocks(host(), std::move(stream), blocks_.first, blocks_.last + 1, chosen_blocks(hooks));
    run_blocks(host(), std::move(stream), blocks_.last + 1, host().geometry().blocks, hooks);
    return true;
}

double HostStreamPredictor::host_flops(std::int64_t context, bool attention_in_chosen) const {
    const auto& geometry = host().geometry();
    const auto chosen = blocks_.last - blocks_.first + 1;
    return static_cast<double>(geometry.blocks - chosen) * block_flops(geometry, context) + head_flops(geometry) +
           (attention_in_chosen ? static_cast<double>(chosen) * attention_flops(geometry, context) : 0.0);
}

bool HostStreamPredictor::is_hosts(std::string_view name, bool attention_in_chosen) const {
    const auto block = block_of(name);
    if (block < blocks_.first || block > blocks_.last) return true;
    return attention_in_chosen && !is_mlp(name);
}

}  // namespace cmsweep
