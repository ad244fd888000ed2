// `cmsweep status`: progress of a running or ended sweep, from outside.
#include <ctime>
#include <ostream>

#include <nlohmann/json.hpp>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "progress.hpp"
#include "text_table.hpp"

namespace cmsweep {

int status_command(const std::filesystem::path& path, std::ostream& out) {
    std::filesystem::path store = path;
    if (path.extension() == ".toml") store = read_config(path).store_path();
    std::filesystem::path side = store;
    side.replace_extension(".d");
    if (!std::filesystem::exists(store)) {
        out << store.string() << ": not there yet; nothing was started\n";
        return kDone;
    }
    const StoreReader reader(store);
    TextTable table({"table", "rows", "done", "failed", "quarantined", "pending"});
    for (const auto& name : reader.tables()) {
        std::size_t count[4] = {};
        const auto status = reader.numbers(name, "status").values;
        const auto in_plan = reader.numbers(name, "in_plan").values;
        for (std::size_t i = 0; i < status.size(); ++i) {
            if (in_plan[i] != 0) ++count[static_cast<int>(status[i]) & 3];
        }
        table.add({name, std::to_string(count[0] + count[1] + count[2] + count[3]), std::to_string(count[1]), std::to_string(count[2]),
                   std::to_string(count[3]), std::to_string(count[0])});
    }
    out << "sweep " << reader.name() << ", " << store.string() << " (committed rows)\n";
    table.print(out);

    const auto file = side / "status.json";
    if (!std::filesystem::exists(file)) return kDone;
    const auto snapshot = nlohmann::json::parse(read_text(file), nullptr, false);
    if (!snapshot.is_object()) throw InputError(file.string() + ": not a status file: delete it; the next run writes a new one");
    const double age = static_cast<double>(std::time(nullptr)) - snapshot.at("time").get<double>();
    const std::string state = snapshot.at("state");
    out << "\nrun: " << state << ", reported " << format_duration(age < 0 ? 0 : age) << " ago";
    if (state == "running" && age > 30) out << " (no longer running, or stuck)";
    out << "\n" << progress_text(snapshot) << '\n';
    TextTable ranks({"rank", "since", "task"});
    for (const auto& rank : snapshot.at("ranks")) {
        ranks.add({std::to_string(rank.at("rank").get<int>()), format_duration(rank.at("since").get<double>()), rank.at("task").get<std::string>()});
    }
    if (!ranks.empty() && state == "running") ranks.print(out);
    return kDone;
}

}  // namespace cmsweep
