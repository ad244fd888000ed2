// `cmsweep run`: the sweep itself, on all ranks.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iostream>
#include <map>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/exec/executor.hpp"
#include "cmsweep/exec/inputs.hpp"
#include "cmsweep/mpi/communicator.hpp"
#include "cmsweep/mpi/transport.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/plan.hpp"
#include "cmsweep/sched/flight_record.hpp"
#include "cmsweep/sched/suspects.hpp"
#include "cmsweep/sched/sweep.hpp"
#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "progress.hpp"
#include "stop_signal.hpp"
#include "stored_results.hpp"
#include "walltime.hpp"

namespace cmsweep {
namespace {

// Orphans of a killed run go on for about a second; wait longer than that for the lock.
constexpr double kLockPatience = 10;

/// What rank 0 alone knows and holds.
struct Lead {
    Config config;
    Plan plan;
    std::unique_ptr<StoreLock> lock;
    std::vector<Task> pending;
    std::set<Id> alone;                     ///< tasks under suspicion of killing their process
    std::map<Id, std::string> quarantined;  ///< tasks that are not run again, with the reason
    std::size_t failed_before = 0;  ///< results that failed for good in earlier starts
    std::size_t results = 0;        ///< distinct results of the plan
    std::map<TaskKind, double> seconds_per_work;  ///< of earlier starts
};

std::string host_name() {
    char name[256] = {};
    gethostname(name, sizeof name - 1);
    return name;
}

/// Runs `step` on rank 0 and tells everybody how it went: all ranks return its JSON, or all throw the same error.
template <class Step>
nlohmann::json on_rank_zero(const Communicator& world, Step step) {
    nlohmann::json said;
    if (world.rank() == 0) {
        try {
            said["value"] = step();
        } catch (const InputError& error) {
            said["input"] = error.problems();
        } catch (const StorageError& error) {
            said["storage"] = error.what();
        } catch (const std::exception& error) {
            said["internal"] = error.what();
        }
    }
    said = nlohmann::json::parse(world.broadcast(said.dump(), 0));
    if (said.contains("input")) throw InputError(said.at("input").get<std::vector<std::string>>());
    if (said.contains("storage")) throw StorageError(said.at("storage").get<std::string>());
    if (said.contains("internal")) throw std::runtime_error(said.at("internal").get<std::string>());
    return said.at("value");
}

/// [collective] Names of the nodes, in the order of their first rank; on rank 0.
std::vector<std::string> distinct_hosts(const Communicator& world) {
    std::vector<std::string> distinct;
    for (const auto& name : world.gather(host_name(), 0)) {
        if (std::find(distinct.begin(), distinct.end(), name) == distinct.end()) distinct.push_back(name);
    }
    return distinct;
}

/// The device kind of every rank; they must agree, since it is part of every result's id.
std::string agree_on_device(const Communicator& world, const std::string& wanted) {
    nlohmann::json own;
    try {
        own["kind"] = resolve_device_kind(wanted);
    } catch (const InputError& error) {
        own["problem"] = error.what();
    }
    own["host"] = host_name();
    const auto all = world.gather(own.dump(), 0);
    return on_rank_zero(world, [&] {
               std::string kind;
               for (std::size_t rank = 0; rank < all.size(); ++rank) {
                   const auto answer = nlohmann::json::parse(all[rank]);
                   const std::string where = "rank " + std::to_string(rank) + " on " + answer.at("host").get<std::string>();
                   if (answer.contains("problem")) throw InputError(where + ": " + answer.at("problem").get<std::string>());
                   if (kind.empty()) kind = answer.at("kind");
                   if (kind != answer.at("kind")) {
                       throw InputError("run.device = \"" + wanted + "\": rank 0 resolves it to " + kind + ", " + where + " to " +
                                        answer.at("kind").get<std::string>() + ": expected one kind of device on all ranks; set run.device to \"cpu\", or use nodes of one kind");
                   }
               }
               return nlohmann::json(kind);
           })
        .get<std::string>();
}

nlohmann::json environment_of(const Communicator& world, const std::string& device, const Config& config) {
    return {{"cmsweep", CMSWEEP_VERSION}, {"git_revision", CMSWEEP_GIT_REVISION}, {"libtorch", torch_version_text()}, {"device", device},
            {"ranks", std::to_string(world.size())}, {"compiler", __VERSION__},
            {"config_file", std::filesystem::absolute(config.file).string()}};
}

std::filesystem::path flight_folder(const std::filesystem::path& side) { return side / "flight"; }

/// Temporary files of writes that a kill interrupted.
void remove_leftovers(const std::filesystem::path& side) {
    std::vector<std::filesystem::path> leftovers;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(side, ignored)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with('.') && name.ends_with(".tmp") && entry.is_regular_file(ignored)) leftovers.push_back(entry.path());
    }
    for (const auto& path : leftovers) std::filesystem::remove(path, ignored);
}

/// Tasks that were running when earlier runs died. CMSWEEP_QUARANTINE=off turns the rule off, for tests that kill on purpose.
Suspects count_suspects(const Lead& lead, const Job& job) {
    const auto side = lead.config.side_folder();
    Suspects suspects(side / "suspects.json");
    const char* rule = std::getenv("CMSWEEP_QUARANTINE");
    if (rule && std::string_view(rule) == "off") return suspects;
    // The newest step checkpoint: a long task that gets on is not to blame.
    const auto progress = [&](const Id& id) {
        std::string newest;
        for (const auto& task : lead.plan.tasks) {
            if (task.id != id) continue;
            std::vector<Id> partials;
            for (const auto& key : task.results) partials.push_back(key.id);
            if (task.payload.contains("trajectory")) partials.push_back(task.payload.at("trajectory").get<Id>());
            for (const auto& partial : partials) {
                std::error_code absent;
                const auto time = std::filesystem::last_write_time(job.partial_file(partial), absent);
                if (!absent) newest = std::max(newest, std::to_string(time.time_since_epoch().count()));
            }
        }
        return newest;
    };
    suspects.count(read_flights(flight_folder(side)), progress);
    return suspects;
}

/// Everything before the parallel part; returns the job that all ranks need.
nlohmann::json prepare(const RunOptions& options, const Communicator& world, const std::string& device, Lead& lead) {
    const Inputs inputs = read_inputs(lead.config, device);
    lead.plan = make_plan(lead.config, inputs.facts);
    Job job = inputs.job;
    job.base = lead.plan.base;
    const auto store = lead.config.store_path();
    if (options.verbosity > 0) {
        for (const auto& warning : lead.plan.warnings) std::cerr << "warning: " << warning << '\n';
        for (const auto& overlap : inputs.overlaps) {
            if (overlap.share > 0.01) {
                std::cerr << "note: " << static_cast<int>(overlap.share * 100) << " % of the 13-grams of target " << overlap.target
                          << " are also in the training text of " << overlap.training << '\n';
            }
        }
    }
    // Before the lock, whose file would be the first change.
    check_store_name(read_stored_state(store, lead.config.side_folder()), lead.config, store);
    lead.lock = std::make_unique<StoreLock>(lead.config.output, kLockPatience);
    for (const auto& warning : lead.lock->warnings()) std::cerr << "warning: " << warning << '\n';
    const PreparedStore prepared = prepare_store(store, lead.config.side_folder(), lead.plan, {lead.config.name, lead.config.text, environment_of(world, device, lead.config)});
    for (const auto& warning : prepared.warnings) std::cerr << "warning: " << warning << '\n';
    if (prepared.recovered > 0 && options.verbosity > 0) {
        std::cerr << "recovered " << prepared.recovered << " results of an interrupted run from its journals\n";
    }

    remove_leftovers(lead.config.side_folder());
    const StoredState state = read_stored_state(store, lead.config.side_folder());
    Suspects suspects = count_suspects(lead, job);
    lead.quarantined = suspects.quarantined();
    std::set<ResultKey> done = finished_results(state, lead.config.run.retries);
    for (const auto& task : lead.plan.tasks) {
        if (lead.quarantined.count(task.id)) continue;
        // Released by hand.
        for (const auto& key : task.results) {
            const auto found = state.results.find(key);
            if (found != state.results.end() && found->second.status == RowStatus::quarantined) done.erase(key);
        }
    }
    lead.pending = pending_tasks(lead.plan, [&](const ResultKey& key) { return done.count(key) > 0; }, [&](const Id& asset) { return job.exists(asset); });
    std::set<Id> pending;
    for (const auto& task : lead.pending) pending.insert(task.id);
    suspects.keep_only(pending);
    suspects.save();
    remove_flights(flight_folder(lead.config.side_folder()));
    lead.alone = suspects.alone();
    std::set<ResultKey> planned;
    for (const auto& task : lead.plan.tasks) planned.insert(task.results.begin(), task.results.end());
    lead.results = planned.size();
    for (const auto& key : planned) {
        const auto found = state.results.find(key);
        if (found != state.results.end() && done.count(key) && found->second.status != RowStatus::done) ++lead.failed_before;
    }
    lead.seconds_per_work = recorded_seconds_per_work(lead.plan, store, done);
    if (!lead.pending.empty()) write_tokens(inputs);
    return {{"job", job}, {"idle", lead.pending.empty()}, {"store", store.string()}, {"side", lead.config.side_folder().string()}};
}

/// Why a run begins to stop.
std::string reason_to_stop() {
    switch (stop_signal()) {
        case SIGUSR1: return "on request, SIGUSR1";
        case SIGTERM: return "on request, SIGTERM";
        case SIGINT: return "on request, SIGINT";
        default: return "the walltime is nearly over";
    }
}

nlohmann::json snapshot_of(const Progress& progress, const char* state) {
    nlohmann::json ranks = nlohmann::json::array();
    for (const auto& running : progress.running) {
        ranks.push_back({{"rank", running.rank}, {"task", running.label}, {"since", running.since}, {"silent", running.silent}});
    }
    return {{"time", std::time(nullptr)}, {"state", state}, {"total", progress.all.total}, {"done", progress.all.done},
            {"failed", progress.all.failed + progress.all.blocked}, {"rate", progress.rate}, {"eta", progress.eta.value_or(-1)},
            {"elapsed", progress.elapsed}, {"commits", progress.commits}, {"workers", progress.workers}, {"ranks", ranks}};
}

/// Rank 0's side of the sweep: what to do and what to tell people.
Sweep make_sweep(const RunOptions& options, std::chrono::system_clock::time_point started, Lead& lead, const Job& job,
                 ProgressDisplay& display) {
    Sweep sweep;
    sweep.tasks = std::move(lead.pending);
    sweep.exists = [&job](const Id& asset) { return job.exists(asset); };
    sweep.options.commit_seconds = lead.config.run.commit_seconds;
    sweep.options.task_timeout = lead.config.run.task_timeout;
    sweep.options.alone = lead.alone;
    sweep.options.quarantined = lead.quarantined;
    sweep.options.seconds_per_work = lead.seconds_per_work;
    const double given = options.walltime.empty() ? lead.config.run.walltime : parse_duration(options.walltime);
    // A walltime that was given counts from the program's start, of which preparing took a part.
    if (auto left = seconds_left(given)) {
        if (given > 0) *left -= std::chrono::duration<double>(std::chrono::system_clock::now() - started).count();
        sweep.options.deadline = *left - std::min(lead.config.run.grace, *left / 4);
    }
    sweep.hooks.stop_requested = [] { return stop_signal() != 0; };
    sweep.hooks.progress = [&display](const Progress& progress) { display.update(snapshot_of(progress, progress.stopping ? "stopping" : "running"), progress.elapsed); };
    sweep.hooks.event = [verbosity = options.verbosity](const SweepEvent& event) {
        if (verbosity == 0) return;
        static constexpr const char* kWords[] = {"failed", "blocked", "no safe point for too long", "reached a safe point again", "storage failure"};
        std::cerr << "rank " << event.rank << ": " << kWords[static_cast<int>(event.kind)] << ": " << event.task
                  << (event.message.empty() ? "" : ": ") << event.message << '\n';
    };
    return sweep;
}

void remove_checkpoints(const Lead& lead, const Job& job) {
    for (const auto& task : lead.plan.tasks) {
        if (task.kind != TaskKind::specialise) continue;
        for (const auto& asset : task.produces) {
            std::error_code ignored;
            std::filesystem::remove(job.checkpoint_file(asset), ignored);
        }
    }
}

int sweep_on(const Communicator& world, const RunOptions& options) {
    const auto started = std::chrono::system_clock::now();
    Lead lead;
    const auto basics = on_rank_zero(world, [&] {
        lead.config = read_config(options.config);
        if (!options.walltime.empty()) parse_duration(options.walltime);
        return nlohmann::json{{"device", lead.config.run.device}, {"threads", lead.config.run.threads_per_rank}};
    });
    apply_threads(basics.at("threads"));
    const std::string device = agree_on_device(world, basics.at("device"));
    const auto prepared = on_rank_zero(world, [&] { return prepare(options, world, device, lead); });
    const Job job = prepared.at("job");
    if (prepared.at("idle").get<bool>()) {
        if (world.rank() == 0 && options.verbosity > 0) {
            std::cerr << "everything is done: " << lead.results << " results in " << prepared.at("store").get<std::string>();
            if (lead.failed_before > 0) std::cerr << ", " << lead.failed_before << " of them failed";
            std::cerr << '\n';
        }
        const auto failed = on_rank_zero(world, [&] { return nlohmann::json(lead.failed_before); });
        return failed.get<std::size_t>() > 0 ? kSomeFailed : kDone;
    }

    Store store(world, prepared.at("store").get<std::string>(), prepared.at("side").get<std::string>());
    const auto add = [&store](const Record& record) { store.add(record); };
    FlightRecord flight(flight_folder(job.side_folder), world.rank());
    flight.catch_crashes();
    WorkerOptions worker;
    worker.started = [&flight](const Task& task, bool alone) { flight.begin(task, alone); };
    worker.ended = [&flight] { flight.end(); };
    const int local_rank = world.split_by_node().rank();
    SweepOutcome outcome;
    ProgressDisplay display(std::filesystem::path(job.side_folder) / "status.json", options.verbosity);
    Progress last;
    std::string reason;  // why it began to stop; other signals may follow
    if (world.rank() == 0) {
        Sweep sweep = make_sweep(options, started, lead, job, display);
        sweep.hooks.progress = [&, shown = sweep.hooks.progress](const Progress& progress) {
            last = progress;
            if (progress.stopping && stop_signal() != SIGTERM) note_planned_stop(true);
            if (progress.stopping && reason.empty()) reason = reason_to_stop();
            shown(progress);
        };
        if (options.verbosity > 0) std::cerr << "cmsweep " << CMSWEEP_VERSION << ": " << sweep.tasks.size() << " tasks on " << std::max(1, world.size() - 1) << " worker rank" << (world.size() > 2 ? "s" : "") << ", " << device << '\n';
        if (world.size() == 1) {
            const auto executor = make_executor(job, local_rank);
            outcome = run_single(std::move(sweep), *executor, store, add, worker);
        } else {
            const auto transport = make_mpi_transport(world);
            outcome = run_master(std::move(sweep), *transport, store, add);
        }
    } else {
        const auto transport = make_mpi_transport(world);
        const auto executor = make_executor(job, local_rank);
        outcome = run_worker(*transport, *executor, store, add, worker);
    }

    flight.remove();

    const auto hosts = distinct_hosts(world);
    const auto seconds = [](auto time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); };
    const char* state = !outcome.fault.empty() ? "fault" : outcome.stopped ? "stopped" : "done";
    if (outcome.fault.empty()) {
        store.close({{"started", seconds(started)}, {"ended", seconds(std::chrono::system_clock::now())}, {"ranks", world.size()},
                     {"hosts", hosts}, {"version", CMSWEEP_VERSION}, {"outcome", state}});
    }
    int code = kDone;
    if (world.rank() == 0) {
        display.finish(snapshot_of(last, state));
        if (!outcome.fault.empty()) std::cerr << "storage failure: " << outcome.fault << "\nthe results so far are safe; make room and run again\n";
        if (outcome.stopped && outcome.fault.empty()) std::cerr << "stopped early (" << reason << "): run the same command again to continue\n";
        if (outcome.failed + outcome.blocked > 0) {
            std::cerr << outcome.failed << " results failed, " << outcome.blocked << " could not be computed because of them; see `cmsweep report "
                      << prepared.at("store").get<std::string>() << "`\n";
        }
        if (outcome.failed + outcome.blocked > 0 || lead.failed_before > 0) code = kSomeFailed;
        if (outcome.stopped) code = kStopped;
        if (!outcome.fault.empty()) code = kInternal;
        if (code == kDone && !lead.config.run.keep_checkpoints) remove_checkpoints(lead, job);
    }
    return on_rank_zero(world, [&] { return nlohmann::json(code); }).get<int>();
}

}  // namespace

int run_command(const RunOptions& options, int& argc, char**& argv) {
    catch_stop_signals();  // a request that comes while the run is prepared waits for its first safe point
    MpiSession session(argc, argv);
    const Communicator world = Communicator::world();
    try {
        return sweep_on(world, options);
    } catch (const InputError& error) {
        // All ranks throw it together, so that leaving is safe; one of them speaks.
        if (world.rank() == 0) {
            for (const auto& problem : error.problems()) std::cerr << problem << '\n';
        }
        return kWrongInput;
    } catch (const HungRanks& error) {
        note_planned_stop(true);
        std::cerr << error.what() << "\nthe results so far are safe; run again to continue\n";
        world.abort(kStopped);
    } catch (const std::exception& error) {
        std::cerr << "rank " << world.rank() << ": " << error.what() << '\n';
        // A disk that fails is no task's fault: those in flight are not suspected.
        if (dynamic_cast<const StorageError*>(&error) != nullptr) note_planned_stop(true);
        if (world.size() > 1) world.abort(kInternal);
        // Not through MPI_Finalize: after a failed write HDF5 crashes there when it closes what is still open.
        std::cerr.flush();
        std::_Exit(kInternal);
    }
}

}  // namespace cmsweep
