#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/id.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/tables.hpp"
#include "cmsweep/plan/task.hpp"

namespace cmsweep {

/// What the plan must know of the world besides the config: contents, not paths.
struct CorpusFacts {
    std::array<Id, 3> digests;                ///< train, select, test (see Split in model/corpus.hpp)
    std::array<std::uint64_t, 3> tokens{};
};
struct InputFacts {
    Geometry geometry;
    Id base;                                  ///< content of [model] checkpoint; none if the base is made by [pretrain]
    std::map<std::string, CorpusFacts> corpora;
    std::map<std::pair<std::string, std::int64_t>, Id> loaded;  ///< (specialist, degree) -> content of its checkpoint
    std::string device = "cpu";               ///< kind: "cpu" or "cuda"
};

struct Plan {
    Id digest;                      ///< of tables, labels and axes: same digest, same store shape
    std::vector<TableRows> tables;  ///< experiments, similarity, training, routing
    Axes axes;
    std::vector<Task> tasks;        ///< all of them, producers before consumers
    Id base;                        ///< the base model's id, loaded or made
    double features_bytes = 0;      ///< of all representations on disk
    std::vector<std::string> warnings;

    const TableRows& table(std::string_view name) const;
};

/// Expands the grid: ids, rows, tasks. Deterministic. Throws InputError with every problem that needs the facts
/// (layers and spans against the block count, text shorter than a window, contexts beyond the model's, …).
Plan make_plan(const Config& config, const InputFacts& facts);

/// The tasks that are still needed, each asking only for its missing results, when `done` says which results are stored
/// and `exists` which assets are on disk.
std::vector<Task> pending_tasks(const Plan& plan, const std::function<bool(const ResultKey&)>& done,
                                const std::function<bool(const Id& asset)>& exists);

}  // namespace cmsweep
