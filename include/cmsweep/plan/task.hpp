#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/base/id.hpp"

namespace cmsweep {

enum class TaskKind { specialise, represent, compare, merge };
std::string_view task_kind_name(TaskKind kind);

/// A result that a task computes: a row id in a table.
struct ResultKey {
    std::string table;
    Id id;
    auto operator<=>(const ResultKey&) const = default;
};

/// A unit of dispatch, self-contained: a worker needs nothing else but the job context that all ranks hold.
/// Assets are things on disk that one task makes and others need: a checkpoint, a representation.
struct Task {
    Id id;
    TaskKind kind = TaskKind::merge;
    std::string label;               ///< for people: "specialise code, seed 0"
    nlohmann::json payload;          ///< what the executor of this kind reads
    std::vector<ResultKey> results;  ///< only these are computed (a continued sweep asks for the missing ones)
    std::vector<Id> needs;           ///< assets
    std::vector<Id> produces;        ///< assets, possibly published before the task ends
    double work = 0;                 ///< estimated FLOPs
};

void to_json(nlohmann::json& json, const ResultKey& key);
void from_json(const nlohmann::json& json, ResultKey& key);
void to_json(nlohmann::json& json, const Task& task);
void from_json(const nlohmann::json& json, Task& task);

}  // namespace cmsweep
