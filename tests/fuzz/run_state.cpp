// What a run leaves beside its store: suspects, flight records, the status file.
#include <nlohmann/json.hpp>

#include "cmsweep/base/files.hpp"
#include "cmsweep/sched/suspects.hpp"
#include "folder.hpp"
#include "fuzz.hpp"
#include "src/app/run_status.hpp"

namespace cmsweep::fuzz {
namespace {

using nlohmann::json;

const Id kTask = hash_text("task");

std::vector<std::string> suspect_seeds() {
    json all = json::array();
    for (int i = 0; i < 3; ++i) {
        all.push_back({{"task", (i == 0 ? kTask : hash_text(std::to_string(i))).hex()}, {"label", "merge"}, {"crashes", i}, {"ends", 2}, {"progress", "x"}, {"cause", "SIGSEGV"}, {"quarantined", i == 2}});
    }
    return {all.dump(1), "[]"};
}

void read_suspects(const std::string& text) {
    const auto path = put("suspects.json", text);
    Suspects suspects(path);
    suspects.alone();
    suspects.quarantined();
    for (const bool crash : {false, true}) suspects.count({{kTask, "merge", true, crash ? "SIGBUS" : ""}}, [](const Id&) { return "x"; });
    suspects.save();
    Suspects again(path);
    if (again.quarantined().size() != suspects.quarantined().size() || again.alone() != suspects.alone()) throw std::logic_error("suspects change when they are written and read");
}

void read_flight_files(const std::string& text) {
    // Both files: what a task was, and of what it died.
    put("rank-000000.flight", text);
    put("rank-000000.crash", text.substr(0, text.size() / 2));
    for (const auto& flight : read_flights(folder())) use(flight);
}

std::vector<std::string> status_seeds() {
    json running = {{"time", 1e9}, {"state", "running"}, {"total", 10}, {"done", 3}, {"failed", 1}, {"rate", 0.5}, {"eta", 12.0}, {"ranks", json::array()}};
    auto second = running;
    second["ranks"] = {{{"rank", 1}, {"since", 3.5}, {"task", "merge code+math"}}, {{"rank", 2}, {"since", 0.0}, {"task", ""}}};
    return {running.dump(1), second.dump(1)};
}

}  // namespace

std::vector<Format> run_formats() {
    return {{"suspects", suspect_seeds, read_suspects, mutate_json, {"\"quarantined\":true", "\"crashes\":", "2147483647", "\"task\":"}, 256},
            {"flight", [] { return std::vector<std::string>{kTask.hex() + " alone merge it\n", kTask.hex() + " among other\n"}; }, read_flight_files, nullptr, {" alone ", " among ", "\n"}},
            {"status", status_seeds, [](const std::string& text) { run_status_text(text, "status.json", 1e9 + 5); }, mutate_json, {"\"ranks\":[", "\"state\":", "1e400"}, 256}};
}

}  // namespace cmsweep::fuzz
