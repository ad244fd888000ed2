// `cmsweep plan`: what a run would do, without running.
#include <algorithm>
#include <map>
#include <ostream>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/exec/executor.hpp"
#include "cmsweep/exec/inputs.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/config_difference.hpp"
#include "cmsweep/plan/plan.hpp"
#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "stored_results.hpp"
#include "text_table.hpp"

namespace cmsweep {
namespace {

// Without recorded durations: FLOP/s of one core on small models, deliberately low.
constexpr double kAssumedRate = 2e10;

double bytes_of_row(const TableSpec& spec) {
    double bytes = 0;
    for (const auto& column : spec.columns) {
        const double size = column.type == ValueType::text ? static_cast<double>(column.text_size)
                            : column.type == ValueType::int8 ? 1 : column.type == ValueType::int32 ? 4 : 8;
        bytes += size * static_cast<double>(spec.elements(column));
    }
    return bytes;
}

std::string joined(const std::vector<std::string>& names) {
    std::string text;
    for (const auto& name : names) text += (text.empty() ? "" : ", ") + name;
    return text;
}

}  // namespace

int plan_command(const std::filesystem::path& file, std::ostream& out) {
    const Config config = read_config(file);
    const Inputs inputs = read_inputs(config, resolve_device_kind(config.run.device));
    const Plan plan = make_plan(config, inputs.facts);
    const std::filesystem::path store = config.store_path();
    const StoredState state = read_stored_state(store, config.side_folder());
    check_store_name(state, config, store);
    const std::set<ResultKey> done = finished_results(state, config.run.retries);

    Job job = inputs.job;
    job.base = plan.base;
    const auto pending = pending_tasks(plan, [&](const ResultKey& key) { return done.count(key) > 0; }, [&](const Id& asset) { return job.exists(asset); });

    out << "sweep " << config.name << " -> " << store.string() << "\n\n";
    if (config.grid) {
        TextTable axes({"axis", "values", ""});
        const auto axis = [&](const char* name) {
            const auto& names = plan.axes.names.at(name);
            axes.add({name, std::to_string(names.size()), names.size() <= 12 ? joined(names) : ""});
        };
        axis("pair");
        axes.add({"degree", std::to_string(config.grid->degrees.size()), ""});
        for (const char* name : {"layer", "method", "setting", "target", "metric"}) axis(name);
        axes.add({"seed", std::to_string(config.seeds.size()), ""});
        axes.print(out);
        out << '\n';
    }

    TextTable results({"table", "rows", "results", "stored", "to compute"});
    double disk = 0;
    for (const auto& table : plan.tables) {
        const std::set<Id> distinct(table.ids.begin(), table.ids.end());
        std::size_t stored = 0;
        for (const auto& id : distinct) stored += done.count({table.spec.name, id});
        results.add({table.spec.name, std::to_string(table.rows()), std::to_string(distinct.size()), std::to_string(stored), std::to_string(distinct.size() - stored)});
        disk += bytes_of_row(table.spec) * static_cast<double>(table.rows());
    }
    results.print(out);

    std::map<TaskKind, std::pair<std::size_t, double>> by_kind;
    for (const auto& task : pending) {
        auto& [count, work] = by_kind[task.kind];
        ++count;
        work += task.work;
    }
    out << "\ntasks to run:";
    if (pending.empty()) out << " none, everything is done";
    for (const auto& [kind, value] : by_kind) out << ' ' << value.first << ' ' << task_kind_name(kind);
    out << '\n';

    double parameters = 0;
    for (const auto& spec : tensor_specs(inputs.facts.geometry)) parameters += static_cast<double>(spec.elements());
    std::size_t checkpoints = 0;
    for (const auto& task : plan.tasks) {
        if (task.kind == TaskKind::specialise) checkpoints += task.produces.size();
    }
    double tokens = 0;
    for (const auto& [name, corpus] : inputs.corpora) {
        for (const Split split : kSplits) tokens += static_cast<double>(corpus[split].tokens.size());
    }
    if (!pending.empty()) {
        const auto recorded = recorded_seconds_per_work(plan, store, done);
        double work = 0, timed_work = 0, timed_seconds = 0;
        for (const auto& [kind, value] : by_kind) {
            work += value.second;
            const auto found = recorded.find(kind);
            if (found == recorded.end()) continue;
            timed_work += value.second;
            timed_seconds += value.second * found->second;
        }
        // Kinds of which no durations were recorded go at the pace of the others.
        out << "estimated time: " << format_duration(timed_work > 0 ? timed_seconds / timed_work * work : work / kAssumedRate)
            << " on one worker rank, divided by the number of workers ("
            << (timed_work > 0 ? "from recorded durations" : "assuming 20 GFLOP/s a core; a first run tells better") << ")\n";
    }
    out << "estimated memory: " << format_bytes(61e6 + parameters * 4 * 6) << " a worker rank\n"
        << "estimated disk: " << format_bytes(disk) << " store, " << format_bytes(static_cast<double>(checkpoints) * parameters * 4) << " checkpoints at most, "
        << format_bytes(plan.features_bytes) << " representations, "
        << format_bytes(tokens * (inputs.facts.geometry.vocabulary > 65536 ? 4 : 2)) << " tokens\n";

    if (!inputs.overlaps.empty()) {
        out << "\noverlap of training text with targets (share of the target's 13-grams):\n";
        for (const auto& overlap : inputs.overlaps) out << "  " << overlap.training << " with " << overlap.target << ": " << fixed(100 * overlap.share, 2) << " %\n";
    }
    for (const auto& warning : plan.warnings) out << "warning: " << warning << '\n';

    // Results under labels of this plan that other inputs made: they stay in the store, and their place is computed anew.
    if (std::filesystem::exists(store) && !(state.plan_digest == plan.digest)) {
        const StoreReader reader(store);
        const auto changes = config_differences(reader.config_text(), config.text);
        const std::size_t replaced = replaced_rows(plan, reader);
        if (replaced > 0) {
            out << "\n" << replaced << " experiments of the same labels are stored but were made from other inputs; they are recomputed";
            out << (changes.empty() ? " because the text or the checkpoints changed.\n" : ". The config differs in:\n");
        } else if (!changes.empty()) {
            out << "\nThe grid changed; stored results are kept. The config differs in:\n";
        }
        for (const auto& change : changes) out << "  " << change << '\n';
    }
    return kDone;
}

}  // namespace cmsweep
