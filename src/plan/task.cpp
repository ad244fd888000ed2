#include "cmsweep/plan/task.hpp"

#include <array>
#include <utility>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

constexpr std::array<std::pair<TaskKind, std::string_view>, 4> kKinds{{{TaskKind::specialise, "specialise"},
                                                                       {TaskKind::represent, "represent"},
                                                                       {TaskKind::compare, "compare"},
                                                                       {TaskKind::merge, "merge"}}};

}  // namespace

std::string_view task_kind_name(TaskKind kind) {
    for (const auto& [value, name] : kKinds) {
        if (value == kind) return name;
    }
    return "unknown";
}

void to_json(nlohmann::json& json, const ResultKey& key) { json = {{"table", key.table}, {"id", key.id}}; }

void from_json(const nlohmann::json& json, ResultKey& key) {
    json.at("table").get_to(key.table);
    json.at("id").get_to(key.id);
}

void to_json(nlohmann::json& json, const Task& task) {
    json = {{"id", task.id},           {"kind", task_kind_name(task.kind)}, {"label", task.label},
            {"payload", task.payload}, {"results", task.results},           {"needs", task.needs},
            {"produces", task.produces}, {"work", task.work}};
}

void from_json(const nlohmann::json& json, Task& task) {
    const auto kind = json.at("kind").get<std::string>();
    bool known = false;
    for (const auto& [value, name] : kKinds) {
        if (name != kind) continue;
        task.kind = value;
        known = true;
    }
    if (!known) throw InputError("task kind '" + kind + "': expected specialise, represent, compare or merge");
    json.at("id").get_to(task.id);
    json.at("label").get_to(task.label);
    task.payload = json.at("payload");
    json.at("results").get_to(task.results);
    json.at("needs").get_to(task.needs);
    json.at("produces").get_to(task.produces);
    json.at("work").get_to(task.work);
}

}  // namespace cmsweep
