#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "results.hpp"

namespace cmsweep {

/// The best setting of one family for one pair, degree and target. Chosen on the select split, reported on test.
struct FamilyVerdict {
    std::string family;   ///< "parameter", "activation", "routing", "output"
    std::string method, setting, layer;
    double loss = 0;      ///< mean over seeds, test, nats
    double gain = 0;      ///< loss of the best single model minus this one's, paired
    double low = 0, high = 0;  ///< 95 % interval of the gain
    int n = 0;            ///< seeds, or block losses
    std::string over;     ///< what the interval is over: "seeds" or "text blocks"
    double stored_ratio = 0, flops_ratio = 0;  ///< to one specialist
    double target_tokens = 0;
};

/// Mean and 95 % interval.
struct MeanInterval {
    double mean = 0, low = 0, high = 0;
    int n = 0;
};

/// A model trained instead of combining, `finetune_target` or `joint`, that is certainly better than what is recommended (or, where
/// nothing is, than the best single model).
struct TrainedInstead {
    std::string method;
    MeanInterval gain;
    std::string over;
};

struct PairVerdict {
    std::string pair, target;
    std::vector<std::int64_t> degrees;
    std::string best_single;       ///< name of the best single model, chosen on select
    double best_single_loss = 0;
    double base_loss = 0;          ///< NaN where the base has not been measured
    std::vector<std::string> unmeasured;  ///< of the base and the members, under every seed of the combinations; while there are any, nothing is recommended
    std::vector<FamilyVerdict> families;
    std::string recommendation;    ///< one sentence
    std::vector<TrainedInstead> instead;
};

/// Verdicts for every (pair, degrees, target) with done rows, in the order of the store.
std::vector<PairVerdict> make_verdicts(const std::vector<ExperimentRow>& rows);

/// Of paired differences by Student's t; n = 1 gives infinite bounds.
MeanInterval mean_interval(const std::vector<double>& differences);

}  // namespace cmsweep
