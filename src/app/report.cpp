// `cmsweep report`: the verdict tables.
#include <cmath>
#include <map>
#include <ostream>

#include "cmsweep/plan/tables.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "setting_text.hpp"
#include "text_table.hpp"
#include "verdict.hpp"

namespace cmsweep {
namespace {

std::string degree_text(const std::vector<std::int64_t>& degrees) {
    bool alike = true;
    for (const auto degree : degrees) alike = alike && degree == degrees[0];
    if (alike) return std::to_string(degrees[0]);
    std::string text;
    for (const auto degree : degrees) {
        if (!text.empty()) text += '/';
        text += std::to_string(degree);
    }
    return text;
}

std::string interval_text(double low, double high, int n) {
    if (!std::isfinite(low)) return "[no interval, n = " + std::to_string(n) + "]";
    std::string text(1, '[');
    return text.append(fixed(low, 4)).append(", ").append(fixed(high, 4)).append("]");
}

}  // namespace

int report_command(const std::filesystem::path& store, std::ostream& out) {
    const auto rows = read_experiments(store);
    std::map<int, std::size_t> by_status;
    for (const auto& row : rows) {
        if (row.in_plan) ++by_status[row.status];
    }
    out << store.string() << ": " << by_status[1] << " experiments done, " << by_status[2] + by_status[3] << " failed, "
        << by_status[0] << " pending\n";
    const SettingText setting_text(rows);
    const auto verdicts = make_verdicts(rows);
    if (verdicts.empty()) out << "No combination has been evaluated yet.\n";
    std::string heading;
    for (const auto& verdict : verdicts) {
        const std::string own_heading = "\n" + verdict.pair + " on " + verdict.target;
        if (own_heading != heading) out << own_heading << '\n';
        heading = own_heading;
        out << "\n  degree " << degree_text(verdict.degrees) << ": best single model " << verdict.best_single << ", loss "
            << fixed(verdict.best_single_loss, 4) << " nat (base " << fixed(verdict.base_loss, 4) << ")\n";
        TextTable table({"family", "best setting (chosen on select)", "layer", "loss", "gain", "95 % interval", "over", "stored", "FLOPs"});
        for (const auto& family : verdict.families) {
            const std::string settings = setting_text(family.method, family.setting);
            std::string method = family.method;
            if (!settings.empty()) method.append(" (").append(settings).append(")");
            table.add({family.family, method, family.layer, fixed(family.loss, 4), fixed(family.gain, 4), interval_text(family.low, family.high, family.n),
                       std::to_string(family.n) + " " + family.over, fixed(family.stored_ratio, 2) + " x", fixed(family.flops_ratio, 2) + " x"});
        }
        table.print(out, "  ");
        out << "  -> " << verdict.recommendation << '\n';
        for (const auto& trained : verdict.instead) {
            out << "     but " << trained.method << ", trained instead of combining, is certainly better: " << fixed(trained.gain.mean, 4) << ' '
                << interval_text(trained.gain.low, trained.gain.high, trained.gain.n) << ", " << trained.gain.n << ' ' << trained.over << '\n';
        }
    }
    if (by_status[2] + by_status[3] > 0) {
        out << "\nFailures\n";
        TextTable table({"pair", "degree", "layer", "method", "setting", "target", "seed", "message"});
        for (const auto& row : rows) {
            if (!row.in_plan || row.status < static_cast<int>(RowStatus::failed)) continue;
            table.add({row.pair, row.degrees.empty() ? "" : degree_text(row.degrees), row.layer, row.method, setting_text(row.method, row.setting), row.target,
                       std::to_string(row.seed), row.message});
        }
        table.print(out, "  ");
    }
    out << "\nGain: loss of the best single model minus the combination's, on the test split, in nats per token; settings and single models\n"
           "are chosen on the select split. Intervals: Student's t over paired differences. Stored, FLOPs: ratio to one specialist.\n"
           "->: of the families whose whole interval is above zero, the cheapest that is not certainly worse than the best on select.\n";
    return kDone;
}

}  // namespace cmsweep
