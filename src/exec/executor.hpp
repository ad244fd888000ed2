#pragma once

#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include <torch/types.h>

#include "cmsweep/core/similarity/metric.hpp"
#include "cmsweep/exec/executor.hpp"
#include "cmsweep/model/combination.hpp"
#include "cmsweep/model/corpus.hpp"
#include "cmsweep/model/features.hpp"
#include "cmsweep/model/network.hpp"
#include "cmsweep/model/predictor.hpp"
#include "cmsweep/model/training.hpp"

namespace cmsweep {

/// Keeps the most recently used values up to a budget of bytes.
template <class Value>
class RecentlyUsed {
public:
    explicit RecentlyUsed(std::size_t budget) : budget_(budget) {}

    template <class Make>
    Value get(const std::string& key, Make make) {
        if (const auto found = places_.find(key); found != places_.end()) {
            entries_.splice(entries_.begin(), entries_, found->second);
            return entries_.front().value;
        }
        auto [value, bytes] = make();
        entries_.push_front({key, value, bytes});
        places_[key] = entries_.begin();
        held_ += bytes;
        while (held_ > budget_ && entries_.size() > 1) {
            held_ -= entries_.back().bytes;
            places_.erase(entries_.back().key);
            entries_.pop_back();
        }
        return value;
    }

private:
    struct Entry {
        std::string key;
        Value value;
        std::size_t bytes;
    };
    std::size_t budget_, held_ = 0;
    std::list<Entry> entries_;
    std::unordered_map<std::string, typename std::list<Entry>::iterator> places_;
};

/// Prepared blocks that one call of compare_in_tiles() may hold, in bytes.
inline constexpr std::size_t kTileBytes = std::size_t{1} << 30;

/// Prepared blocks that are kept from comparison to comparison, in bytes.
inline constexpr std::size_t kPreparedBytes = std::size_t{512} << 20;

/// One rank's executor: what tasks of all kinds share. Each kind has a file of its own.
class Executor : public TaskRunner {
public:
    Executor(Job job, int local_rank);
    void run(const Task& task, TaskContext& context) override;
    /// The network of one row of a merge task: a model alone, or a merged one. Throws NumericError.
    std::shared_ptr<const Parameters> network_of(const Task& task, const Id& row);

private:
    void specialise(const Task& task, TaskContext& context);
    void represent(const Task& task, TaskContext& context);
    void compare(const Task& task, TaskContext& context);
    void merge(const Task& task, TaskContext& context);

    /// What a merge task's rows share, and then what one item adds.
    CombinationInput combination_input(const nlohmann::json& payload);
    void add_item(CombinationInput& input, const nlohmann::json& item);

    /// A model by the reference that the plan wrote: base, loaded folder, or difference to the base.
    std::shared_ptr<const Parameters> model(const nlohmann::json& reference);
    std::shared_ptr<const Parameters> base();
    const StoredSplit& split(const Id& digest);
    EvaluationText windows(const Id& digest, std::int64_t context, std::int64_t count);
    EvaluationText probe_text(const nlohmann::json& probe);
    ProbeLayout probe_layout(const nlohmann::json& probe);
    /// A representation's file, mapped once for all blocks that use it.
    std::shared_ptr<const SafetensorsFile> features(const Id& asset);
    /// One block of a representation in a metric's own form. Throws NumericError where the metric is not defined for it.
    std::shared_ptr<const PreparedBlock> prepared(const MetricInfo& metric, const nlohmann::json& setting, const Id& asset,
                                                  const std::string& site, std::int64_t block, const ProbeLayout& layout,
                                                  const SafePoint& safe_point);

    Job job_;
    torch::Device device_;
    std::shared_ptr<const Parameters> base_;
    std::map<Id, StoredSplit> splits_;
    RecentlyUsed<std::shared_ptr<const Parameters>> models_{std::size_t{1} << 30};
    RecentlyUsed<std::shared_ptr<const PreparedBlock>> prepared_{kPreparedBytes};
    std::map<Id, std::weak_ptr<const SafetensorsFile>> features_;
};

/// A record's `seconds`: time since this was made, or since the last call.
class Stopwatch {
public:
    Stopwatch();
    double lap();

private:
    double start_;
};

/// A failed record with this message; final, since its cause lies in the numbers.
Record numeric_failure(const std::string& table, const Id& id, const std::string& message);

}  // namespace cmsweep
