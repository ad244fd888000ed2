// `cmsweep status`: progress of a running or ended sweep, from outside.
#include <ctime>
#include <ostream>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "run_status.hpp"
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
    out << '\n' << run_status_text(read_text(file), file.string(), static_cast<double>(std::time(nullptr)));
    return kDone;
}

}  // namespace cmsweep
