#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "cmsweep/exec/job.hpp"
#include "cmsweep/model/corpus.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/plan.hpp"

namespace cmsweep {

/// Everything that a config points to, read and checked: corpora as tokens, checkpoints, their agreement.
struct Inputs {
    InputFacts facts;
    Job job;
    std::map<std::string, Corpus> corpora;
    struct OverlapReport {
        std::string training, target;
        double share = 0;  ///< of the target's test 13-grams that occur in the training split
    };
    std::vector<OverlapReport> overlaps;
    std::map<std::filesystem::path, std::string> to_remember;  ///< files that write_tokens() adds to the cache, with their contents
};

/// [rank 0 only] Reads without writing. Throws InputError with every problem: missing files, empty or short corpora,
/// checkpoints of another shape or vocabulary, held-out documents that are in some training split.
/// `device` is the kind that the ranks agreed on. What earlier starts learned from unchanged files is believed: see input_cache.hpp.
Inputs read_inputs(const Config& config, const std::string& device);

/// [rank 0 only] Writes the tokenised splits under <output>.d/cache, where every rank maps them, and what the next start need not
/// read again.
void write_tokens(const Inputs& inputs);

}  // namespace cmsweep
