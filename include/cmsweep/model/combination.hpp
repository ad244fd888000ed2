#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/core/training.hpp"
#include "cmsweep/model/predictor.hpp"
#include "cmsweep/model/training.hpp"

namespace cmsweep {

/// Blocks first … last (inclusive) that a method combines; whole_model: also embeddings, final norm and head (parameter space).
struct BlockRange {
    std::int64_t first = 0;
    std::int64_t last = 0;
    bool whole_model = false;
};

/// Everything a combination is made of. References must outlive the call; parameter sets are shared.
struct CombinationInput {
    const MethodInfo* method = nullptr;
    nlohmann::json setting;                                    ///< complete
    std::shared_ptr<const Parameters> base;
    std::vector<std::shared_ptr<const Parameters>> members;
    std::shared_ptr<const Parameters> host;                    ///< supplies everything outside `blocks`
    BlockRange blocks;
    std::uint64_t seed = 0;
    std::vector<std::string> member_keys;                      ///< what names each member in random streams (its trajectory's id); empty: its index
    std::vector<std::int64_t> member_tokens;                   ///< that each member was fine-tuned on; `joint` sees as many as they together
    std::vector<const StoredSplit*> training_text;             ///< what `train_on` names: the target's training split, or each member's own, in their order
    Id target_text;                                            ///< digest of the target's training split; what is read of it counts as target_tokens
    std::int64_t context = 0;                                  ///< of training windows
    std::string precision = "float32";
    std::function<void()> safe_point;
    ResumePoint resume;                                        ///< of trained combinations
};

struct Combination {
    std::shared_ptr<const Predictor> predictor;
    std::shared_ptr<const Parameters> merged;  ///< parameter family: the merged network, for materialize; else null
    nlohmann::json notes = nlohmann::json::object();
    TrainingCurve curve;                       ///< of trained combinations
};

/// Makes the predictor of one experiment; trains routers where the method says so. Throws NumericError.
/// One line per method that is not in parameter space, in src/model/combinations/registry.cpp.
Combination combine(const CombinationInput& input);

/// Mean routing weight of every (chosen block, expert) over the windows of `text`, for routed predictors; empty otherwise.
/// Rows: chosen blocks in order; experts offset-major, member-minor, then the base's.
std::vector<std::vector<double>> routing_weights(const Predictor& predictor, const EvaluationText& text, torch::Device device,
                                                 const std::string& precision, const std::function<void()>& safe_point);

/// How many experts `route` has in one block for this setting: span x members (+ base's).
std::int64_t expert_count(const nlohmann::json& setting, std::int64_t members);

}  // namespace cmsweep
