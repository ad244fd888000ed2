#pragma once

#include <string>
#include <vector>

#include "cmsweep/plan/task.hpp"

// Small task graphs for tests. Assets, results and tasks are named by words.
namespace cmsweep {

inline Task make_task(const std::string& name, TaskKind kind, double work, const std::vector<std::string>& needs = {},
                      const std::vector<std::string>& produces = {}, int results = 1) {
    Task task;
    task.id = hash_text("task " + name);
    task.kind = kind;
    task.label = name;
    task.work = work;
    for (const auto& need : needs) task.needs.push_back(hash_text(need));
    for (const auto& made : produces) task.produces.push_back(hash_text(made));
    for (int i = 0; i < results; ++i) task.results.push_back({"experiments", hash_text(name + "/" + std::to_string(i))});
    return task;
}

/// "m0", "m1", …
inline std::string numbered(int i) {
    std::string name(1, 'm');
    return name.append(std::to_string(i));
}

inline bool nothing_exists(const Id&) { return false; }

}  // namespace cmsweep
