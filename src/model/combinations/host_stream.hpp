#pragma once

#include <memory>

#include "cmsweep/model/combination.hpp"

namespace cmsweep {

/// A predictor with the host's stream, in whose chosen blocks something else runs. Every such predictor of one host
/// shares the stream before its first chosen block with the others of a batch.
class HostStreamPredictor : public Predictor {
public:
    TokenScores score(Batch& batch) const final;
    bool show_stream(Batch& batch, const ForwardHooks& hooks) const final;

protected:
    HostStreamPredictor(std::shared_ptr<const Parameters> host, BlockRange blocks) : host_(std::move(host)), blocks_(blocks) {}

    /// What runs in the chosen blocks of one forward pass; passes on what `shown` wants to see.
    virtual ForwardHooks chosen_blocks(const ForwardHooks& shown) const = 0;

    const Parameters& host() const { return *host_; }
    const BlockRange& blocks() const { return blocks_; }

    /// FLOPs per token of what is the host's: the head, all blocks but the chosen ones and, if `attention_in_chosen`,
    /// their attention.
    double host_flops(std::int64_t context, bool attention_in_chosen) const;
    /// Whether the host's tensor of this name is used, by the same rule (norms go with the attention).
    bool is_hosts(std::string_view name, bool attention_in_chosen) const;

private:
    std::shared_ptr<const Parameters> host_;
    BlockRange blocks_;
};

}  // namespace cmsweep
