// `cmsweep verify`: is a store sound?
#include <ostream>

#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"

namespace cmsweep {

int verify_command(const std::filesystem::path& store, std::ostream& out) {
    const auto problems = verify_store(store);
    for (const auto& problem : problems) out << problem << '\n';
    if (problems.empty()) {
        const StoreReader reader(store);
        std::size_t rows = 0;
        for (const auto& table : reader.tables()) rows += reader.rows(table);
        out << store.string() << ": sound, schema " << reader.schema() << ", " << rows << " rows\n";
        return kDone;
    }
    out << store.string() << ": " << problems.size() << " problem" << (problems.size() == 1 ? "" : "s") << '\n';
    return kSomeFailed;
}

}  // namespace cmsweep
