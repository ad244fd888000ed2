#include "cmsweep/sched/suspects.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

constexpr int kCrashes = 2;
constexpr int kUncleanEnds = 3;

/// A count of the file, which may hold any number: more than is ever counted is as good as damaged.
int count_of(const nlohmann::json& json, const char* key) {
    constexpr double kMost = 1e6;
    const double count = json.at(key);
    if (!(count >= 0 && count <= kMost)) throw InputError(std::string(key) + " is no count");
    return static_cast<int>(count);
}

}  // namespace

Suspects::Suspects(std::filesystem::path file) : file_(std::move(file)) {
    if (!std::filesystem::exists(file_)) return;
    const auto json = nlohmann::json::parse(read_text(file_), nullptr, false);
    if (!json.is_array()) return;
    for (const auto& one : json) {
        try {
            Entry entry{one.at("label"), count_of(one, "crashes"), count_of(one, "ends"), one.at("progress"), one.at("cause"), one.at("quarantined")};
            entries_[Id::parse(one.at("task").get<std::string>())] = std::move(entry);
        } catch (const nlohmann::json::exception&) {
            continue;
        } catch (const InputError&) {
            continue;
        }
    }
}

bool Suspects::suspicious(const Entry& entry) { return entry.crashes >= kCrashes || entry.ends >= kUncleanEnds; }

void Suspects::count(const std::vector<Flight>& flights, const std::function<std::string(const Id&)>& progress) {
    const bool somebody_crashed = std::any_of(flights.begin(), flights.end(), [](const Flight& flight) { return !flight.crash.empty(); });
    for (const auto& flight : flights) {
        if (somebody_crashed && flight.crash.empty()) continue;
        Entry& entry = entries_[flight.task];
        entry.label = flight.label;
        const std::string now = progress(flight.task);
        if (!flight.crash.empty()) {
            ++entry.crashes;
            entry.cause = flight.crash;
        } else {
            entry.ends = now == entry.progress ? entry.ends + 1 : 1;
            if (entry.cause.empty()) entry.cause = "killed without a trace, as for lack of memory";
        }
        entry.progress = now;
        if (flight.alone && suspicious(entry)) entry.quarantined = true;
    }
}

void Suspects::keep_only(const std::set<Id>& pending) {
    std::erase_if(entries_, [&](const auto& entry) { return !entry.second.quarantined && pending.count(entry.first) == 0; });
}

void Suspects::save() const {
    if (entries_.empty()) {
        std::error_code ignored;
        std::filesystem::remove(file_, ignored);
        return;
    }
    nlohmann::json json = nlohmann::json::array();
    for (const auto& [task, entry] : entries_) {
        json.push_back({{"task", task.hex()}, {"label", entry.label}, {"crashes", entry.crashes}, {"ends", entry.ends},
                        {"progress", entry.progress}, {"cause", entry.cause}, {"quarantined", entry.quarantined}});
    }
    write_atomically(file_, json.dump(1) + "\n");
}

std::set<Id> Suspects::alone() const {
    std::set<Id> tasks;
    for (const auto& [task, entry] : entries_) {
        if (suspicious(entry) && !entry.quarantined) tasks.insert(task);
    }
    return tasks;
}

std::map<Id, std::string> Suspects::quarantined() const {
    std::map<Id, std::string> tasks;
    for (const auto& [task, entry] : entries_) {
        if (!entry.quarantined) continue;
        tasks[task] = "quarantined: the process died " + std::to_string(entry.crashes + entry.ends) + " times in this task, at last alone (" + entry.cause +
                      "); to try again, delete " + file_.string();
    }
    return tasks;
}

}  // namespace cmsweep
