#pragma once

#include <filesystem>
#include <map>
#include <set>

#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/plan.hpp"
#include "cmsweep/store/store.hpp"

namespace cmsweep {

/// Results that need no more work: done, quarantined, failed for good, or failed more often than `retries` allows.
std::set<ResultKey> finished_results(const StoredState& state, int retries);

/// Throws InputError if the store belongs to another sweep.
void check_store_name(const StoredState& state, const Config& config, const std::filesystem::path& store);

/// Seconds per FLOP of the tasks whose results are all in `done`, by kind of task, from the durations that the store recorded.
std::map<TaskKind, double> recorded_seconds_per_work(const Plan& plan, const std::filesystem::path& store, const std::set<ResultKey>& done);

/// Planned experiments whose labels the store holds under another id only.
std::size_t replaced_rows(const Plan& plan, const StoreReader& reader);

}  // namespace cmsweep
