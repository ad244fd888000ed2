#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/plan.hpp"

// What each id is the hash of. Contents only: never a position, rank, time, name or path.
namespace cmsweep {

/// A member of a pair, or the base, at a degree under a seed.
struct ModelNode {
    Id id;                     ///< content; the asset that holds its checkpoint
    std::int64_t model = 0;    ///< code in Axes "model"; 0 is the base
    std::int64_t degree = 0;
    nlohmann::json reference;  ///< how an executor finds it: {"kind": "base" | "delta" | "loaded", …}
    Id asset;                  ///< what a task must wait for; none where the model is there from the start
};

class Identity {
public:
    Identity(const Config& config, const InputFacts& facts);

    const Id& base() const { return base_; }
    bool base_is_made() const { return !facts_.base; }
    std::int64_t context_or_model(std::int64_t context) const { return context > 0 ? context : facts_.geometry.context; }

    /// `settings` with the context resolved, as ids and executors see it.
    TrainingConfig resolved(const TrainingConfig& training) const;
    Id trajectory(const MemberName& member, std::int64_t seed) const;
    /// The row of a trajectory's training curve: a trajectory that goes on under a constant schedule has a longer curve.
    Id curve(const MemberName& member, std::int64_t seed) const;
    ModelNode node(const std::string& member, std::int64_t degree, std::int64_t seed, std::int64_t model_code) const;
    Id features(const Id& model, const std::string& probe) const;
    nlohmann::json probe(const std::string& corpus) const;       ///< what determines a probe's windows and pooling
    nlohmann::json target(const std::string& corpus) const;      ///< what determines a target's windows
    /// A result: `content` plus what every result depends on (precision, device kind, version of the kind).
    Id result(const char* kind, int version, nlohmann::json content) const;

private:
    const Config& config_;
    const InputFacts& facts_;
    Id base_;
};

}  // namespace cmsweep
