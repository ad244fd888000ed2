#include "cmsweep/sched/master.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

/// A commit may cost at most this share of the time between two.
constexpr double kCommitShare = 1.0 / 50;
/// A task may be preferred for its inputs if its critical path is at least this share of the longest.
constexpr double kAffinityShare = 0.75;
/// Assets that a worker is taken to still have in memory.
constexpr std::size_t kRecentAssets = 16;
/// Tasks looked at for each of them.
constexpr int kTasksPerAsset = 4;
/// Before anything was timed: 10 GFLOP/s.
constexpr double kGuessedSecondsPerWork = 1e-10;
/// What a task costs besides its work, s.
constexpr double kSecondsPerTask = 1e-3;
/// Priorities are renewed when the rate of a kind has changed by this factor.
constexpr double kRateChange = 1.25;
/// Window of the result rate, s.
constexpr double kPaceWindow = 60;

}  // namespace

void to_json(nlohmann::json& json, const SweepOutcome& outcome) {
    json = {{"done", outcome.done},
            {"failed", outcome.failed},
            {"blocked", outcome.blocked},
            {"unfinished", outcome.unfinished},
            {"failed_tasks", outcome.failed_tasks},
            {"commits", outcome.commits},
            {"stopped", outcome.stopped},
            {"fault", outcome.fault}};
}

void from_json(const nlohmann::json& json, SweepOutcome& outcome) {
    json.at("done").get_to(outcome.done);
    json.at("failed").get_to(outcome.failed);
    json.at("blocked").get_to(outcome.blocked);
    json.at("unfinished").get_to(outcome.unfinished);
    json.at("failed_tasks").get_to(outcome.failed_tasks);
    json.at("commits").get_to(outcome.commits);
    json.at("stopped").get_to(outcome.stopped);
    json.at("fault").get_to(outcome.fault);
}

Master::Master(std::vector<Task> tasks, const std::function<bool(const Id&)>& exists, std::vector<int> workers,
               MasterOptions options)
    : options_(std::move(options)) {
    if (workers.empty()) throw std::invalid_argument("a sweep needs at least one worker");
    for (const int rank : workers) {
        worker_of_rank_[rank] = workers_.size();
        workers_.push_back({});
        workers_.back().rank = rank;
    }
    std::map<TaskKind, std::pair<double, double>> work_and_count;
    entries_.resize(tasks.size());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        Task& task = entries_[i].task = std::move(tasks[i]);
        if (!index_.emplace(task.id, i).second) {
            throw std::invalid_argument("task '" + task.label + "' (" + task.id.hex() + ") is listed twice");
        }
        counts_[task.kind].total += static_cast<std::int64_t>(task.results.size());
        work_and_count[task.kind].first += task.work;
        work_and_count[task.kind].second += 1;
        for (const auto* list : {&task.needs, &task.produces}) {
            for (const Id& asset : *list) {
                auto& users = list == &task.needs ? assets_[asset].users : assets_[asset].makers;
                if (asset && (users.empty() || users.back() != i)) users.push_back(i);
            }
        }
    }
    for (auto& [id, asset] : assets_) {
        asset.exists = !id || (!asset.users.empty() && exists(id));
        if (asset.exists) continue;
        for (const std::size_t user : asset.users) ++entries_[user].missing;
    }
    // An earlier run's rate counts as one typical task.
    for (const auto& [kind, rate] : options_.seconds_per_work) {
        const auto found = work_and_count.find(kind);
        if (found == work_and_count.end() || !(rate > 0) || !std::isfinite(rate)) continue;
        const double work = found->second.first / found->second.second;
        if (work > 0) rates_[kind] = {rate * work, work, 0};
    }
    order_tasks();
    update_priorities();
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto found = options_.quarantined.find(entries_[i].task.id);
        if (found != options_.quarantined.end()) quarantine(i, found->second);
    }
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        Entry& entry = entries_[i];
        if (entry.state != State::waiting) continue;
        if (entry.missing == 0) {
            make_ready(i);
            continue;
        }
        for (const Id& need : entry.task.needs) {
            const Asset& asset = assets_.at(need);
            if (asset.exists || !asset.makers.empty()) continue;
            const std::string reason = "task '" + entry.task.label + "' needs asset " + need.hex() +
                                       ", which is not on disk and which no task makes";
            block(i, reason, /*retryable=*/true);
            block_dependents(i, reason, /*retryable=*/true);
            break;
        }
    }
}

bool Master::open(const Entry& entry) const {
    return entry.state == State::waiting || entry.state == State::ready || entry.state == State::assigned;
}

double Master::seconds_per_work(TaskKind kind) const {
    const auto found = rates_.find(kind);
    if (found != rates_.end()) return found->second.seconds / found->second.work;
    Rate sum;
    for (const auto& [other, rate] : rates_) {
        sum.seconds += rate.seconds;
        sum.work += rate.work;
    }
    return sum.work > 0 ? sum.seconds / sum.work : kGuessedSecondsPerWork;
}

double Master::estimate(const Task& task) const { return kSecondsPerTask + task.work * seconds_per_work(task.kind); }

/// Kahn's topological sort, over assets. Tasks in a cycle are left out: they keep their own estimate as priority.
void Master::order_tasks() {
    std::unordered_map<Id, std::size_t> makers_left;
    for (const auto& [id, asset] : assets_) makers_left[id] = asset.makers.size();
    // Whatever exists may be used at once, but its makers still come first in the order where they are pending.
    std::vector<std::size_t> needs_left(entries_.size(), 0);
    for (const auto& [id, asset] : assets_) {
        if (asset.makers.empty()) continue;
        for (const std::size_t user : asset.users) ++needs_left[user];
    }
    order_.reserve(entries_.size());
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (needs_left[i] == 0) order_.push_back(i);
    }
    for (std::size_t next = 0; next < order_.size(); ++next) {
        const Task& task = entries_[order_[next]].task;
        const std::set<Id> produces(task.produces.begin(), task.produces.end());
        for (const Id& id : produces) {
            const Asset& asset = assets_.at(id);
            if (!id || --makers_left[id] > 0) continue;
            for (const std::size_t user : asset.users) {
                if (--needs_left[user] == 0) order_.push_back(user);
            }
        }
    }
}

void Master::update_priorities() {
    for (auto& [id, asset] : assets_) asset.priority = 0;
    for (auto& entry : entries_) entry.priority = estimate(entry.task);
    for (auto i = order_.rbegin(); i != order_.rend(); ++i) {
        Entry& entry = entries_[*i];
        double longest = 0;
        for (const Id& made : entry.task.produces) longest = std::max(longest, assets_.at(made).priority);
        entry.priority += longest;
        if (!open(entry)) continue;
        for (const Id& need : entry.task.needs) {
            Asset& asset = assets_.at(need);
            asset.priority = std::max(asset.priority, entry.priority);
        }
    }
    for (auto& [kind, rate] : rates_) rate.used = seconds_per_work(kind);
    // The queues are sorted by what has just changed.
    ready_.clear();
    ready_alone_.clear();
    ready_by_asset_.clear();
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (entries_[i].state == State::ready) make_ready(i);
    }
    priorities_stale_ = false;
}

void Master::make_ready(std::size_t i) {
    entries_[i].state = State::ready;
    if (options_.alone.count(entries_[i].task.id)) {
        ready_alone_.insert(key(i));
        return;
    }
    ready_.insert(key(i));
    for (const Id& need : entries_[i].task.needs) ready_by_asset_[need].insert(key(i));
}

void Master::take(std::size_t i) {
    ready_.erase(key(i));
    ready_alone_.erase(key(i));
    for (const Id& need : entries_[i].task.needs) {
        const auto found = ready_by_asset_.find(need);
        if (found == ready_by_asset_.end()) continue;
        found->second.erase(key(i));
        if (found->second.empty()) ready_by_asset_.erase(found);
    }
}

void Master::available(const Id& id) {
    const auto found = assets_.find(id);
    if (found == assets_.end() || found->second.exists) return;
    found->second.exists = true;
    for (const std::size_t user : found->second.users) {
        Entry& entry = entries_[user];
        if (--entry.missing == 0 && entry.state == State::waiting) make_ready(user);
    }
}

void Master::quarantine(std::size_t i, const std::string& reason) {
    block(i, reason, /*retryable=*/false);
    if (!new_blocked_.empty()) new_blocked_.back().quarantined = true;
    block_dependents(i, "task '" + entries_[i].task.label + "' is " + reason, /*retryable=*/true);
}

void Master::block(std::size_t i, const std::string& reason, bool retryable) {
    Entry& entry = entries_[i];
    if (entry.state != State::waiting) return;
    entry.state = State::blocked;
    ++tasks_ended_;
    counts_[entry.task.kind].blocked += static_cast<std::int64_t>(entry.task.results.size());
    new_blocked_.push_back({entry.task.label, entry.task.results, reason, retryable});
    new_events_.push_back({SweepEvent::Kind::blocked, 0, entry.task.label, reason});
}

void Master::block_dependents(std::size_t first, const std::string& reason, bool retryable) {
    std::vector<std::size_t> lost{first};
    while (!lost.empty()) {
        const std::size_t maker = lost.back();
        lost.pop_back();
        for (const Id& id : entries_[maker].task.produces) {
            const Asset& asset = assets_.at(id);
            const auto may_come = [&](std::size_t other) { return open(entries_[other]); };
            if (asset.exists || std::any_of(asset.makers.begin(), asset.makers.end(), may_come)) continue;
            for (const std::size_t user : asset.users) {
                if (entries_[user].state != State::waiting) continue;
                block(user, reason, retryable);
                lost.push_back(user);
            }
        }
    }
}

void Master::count_results(Entry& entry, const nlohmann::json& body) {
    auto& counts = counts_[entry.task.kind];
    const auto done = body.at("done").get<std::int64_t>(), failed = body.at("failed").get<std::int64_t>();
    counts.done += done - entry.results_done;
    counts.failed += failed - entry.results_failed;
    entry.results_done = done;
    entry.results_failed = failed;
}

void Master::learn(const Task& task, double seconds) {
    if (!(task.work > 0) || !(seconds > 0)) return;
    Rate& rate = rates_[task.kind];
    rate.seconds += seconds;
    rate.work += task.work;
    const double now = rate.seconds / rate.work;
    if (!(now < rate.used * kRateChange && now * kRateChange > rate.used)) priorities_stale_ = true;
}

void Master::task_ended(WorkerState& worker, const Message& message, double now) {
    const auto& body = message.body;
    const std::size_t i = index_.at(body.at("task").get<Id>());
    const auto place = std::find(worker.queue.begin(), worker.queue.end(), i);
    if (place == worker.queue.end()) {
        throw std::logic_error("rank " + std::to_string(worker.rank) + " finished task '" + entries_[i].task.label +
                               "', which it was not given");
    }
    worker.queue.erase(place);
    if (alone_ == i) alone_.reset();
    worker.since = now;
    Entry& entry = entries_[i];
    count_results(entry, body);
    ++tasks_ended_;
    const auto outcome = body.at("outcome").get<std::string>();
    const auto text = body.at("message").get<std::string>();
    if (outcome == "unfinished") {
        entry.state = State::unfinished;
        --tasks_ended_;
        return;
    }
    if (outcome == "failed" || entry.results_failed > 0) {
        new_events_.push_back({SweepEvent::Kind::failed, worker.rank, entry.task.label, text});
    }
    if (outcome == "failed") {
        entry.state = State::failed;
        ++failed_tasks_;
        block_dependents(i, "task '" + entry.task.label + "' failed: " + text, body.at("retryable").get<bool>());
    } else {
        entry.state = State::done;
        learn(entry.task, body.at("seconds").get<double>());
        for (const Id& made : entry.task.produces) available(made);
    }
    entry.task.payload = nullptr;  // not needed again; with 10^5 tasks it is most of rank 0's memory
}

void Master::receive(const Message& message, double now) {
    const auto found = worker_of_rank_.find(message.from);
    if (found == worker_of_rank_.end()) {
        throw std::logic_error("message from rank " + std::to_string(message.from) + ", which is no worker");
    }
    WorkerState& worker = workers_[found->second];
    worker.heard = now;
    if (worker.overdue) {
        worker.overdue = false;
        const auto label = worker.queue.empty() ? std::string() : entries_[worker.queue.front()].task.label;
        new_events_.push_back({SweepEvent::Kind::recovered, worker.rank, label, "reached a safe point"});
    }
    const auto& body = message.body;
    // What was reported before the worker joined the latest commit is in that commit.
    const auto note_news = [&] {
        if (body.at("news").get<bool>() && body.at("commits").get<std::int64_t>() >= commits_) news_ = true;
    };
    switch (message.kind) {
        case Message::Kind::started: worker.since = now; break;
        case Message::Kind::published: available(body.at("asset").get<Id>()); break;
        case Message::Kind::news:
            count_results(entries_[index_.at(body.at("task").get<Id>())], body);
            note_news();
            break;
        case Message::Kind::finished:
            task_ended(worker, message, now);
            note_news();
            break;
        case Message::Kind::ready: worker.ready = worker.ready || (preparing_ && body.at("round") == commits_); break;
        case Message::Kind::alive: break;
        case Message::Kind::fault: fault(body.at("message").get<std::string>(), worker.rank); break;
        default:
            throw std::logic_error("rank " + std::to_string(message.from) + " sent message kind " +
                                   std::to_string(static_cast<int>(message.kind)) + ", which only the master sends");
    }
}

void Master::fault(const std::string& message, int rank) {
    new_events_.push_back({SweepEvent::Kind::fault, rank, "", message});
    if (fault_.empty()) fault_ = message;
    stop_wanted_ = true;
}

void Master::committed(double now, double seconds) {
    last_commit_ = now;
    commit_wait_ += seconds;
    for (auto& worker : workers_) worker.heard = now;  // they all took part
}

bool Master::fits(std::size_t i, double now) const {
    const Task& task = entries_[i].task;
    // A trajectory keeps what it has done, so starting it always helps.
    if (task.kind == TaskKind::specialise || !timed(task.kind)) return now < options_.deadline;
    const double length = estimate(task);
    // Longer than the whole run: it would fit into no start, so it is tried all the same, since the estimate may be wrong.
    if (length > options_.deadline) return now < options_.deadline;
    return now + length <= options_.deadline;
}

std::optional<std::size_t> Master::choose(const WorkerState& worker, double now) const {
    auto top = ready_.begin();
    while (top != ready_.end() && !fits(top->second, now)) ++top;
    if (top == ready_.end()) return std::nullopt;

    const auto held = [&](std::size_t i) {
        const auto& needs = entries_[i].task.needs;
        return std::count_if(needs.begin(), needs.end(), [&](const Id& need) {
            return std::find(worker.recent.begin(), worker.recent.end(), need) != worker.recent.end();
        });
    };
    Key best = *top;
    auto best_held = held(best.second);
    for (const Id& asset : worker.recent) {
        const auto found = ready_by_asset_.find(asset);
        if (found == ready_by_asset_.end()) continue;
        int looks = kTasksPerAsset;
        for (const Key& candidate : found->second) {
            if (looks-- == 0 || candidate.first > kAffinityShare * top->first) break;  // priorities are negated
            if (!fits(candidate.second, now)) continue;
            const auto count = held(candidate.second);
            if (count < best_held || (count == best_held && !(candidate < best))) continue;
            best = candidate;
            best_held = count;
        }
    }
    return best.second;
}

void Master::assign(WorkerState& worker, std::size_t i, double now, Step& step) {
    take(i);
    Entry& entry = entries_[i];
    entry.state = State::assigned;
    if (worker.queue.empty()) worker.since = worker.heard = now;
    worker.queue.push_back(i);
    for (const auto* list : {&entry.task.needs, &entry.task.produces}) {
        for (const Id& asset : *list) {
            const auto known = std::find(worker.recent.begin(), worker.recent.end(), asset);
            if (known != worker.recent.end()) worker.recent.erase(known);
            worker.recent.push_front(asset);
        }
    }
    if (worker.recent.size() > kRecentAssets) worker.recent.resize(kRecentAssets);
    step.send.push_back({worker.rank, {Message::Kind::assign, 0, {{"task", entry.task}}}});
}

void Master::dispatch(double now, Step& step) {
    if (alone_) return;
    if (ready_.empty() && !ready_alone_.empty() && idle()) {
        const auto suspect = std::find_if(ready_alone_.begin(), ready_alone_.end(), [&](const Key& one) { return fits(one.second, now); });
        if (suspect == ready_alone_.end()) return;
        alone_ = suspect->second;
        assign(workers_.front(), *alone_, now, step);
        step.send.back().second.body["alone"] = true;
        return;
    }
    for (auto& worker : workers_) {
        if (!worker.queue.empty()) continue;
        const auto i = choose(worker, now);
        if (!i) return;
        assign(worker, *i, now, step);
    }
    const auto is_short = [&](std::size_t i) {
        return timed(entries_[i].task.kind) && estimate(entries_[i].task) <= options_.queue_below;
    };
    for (auto& worker : workers_) {
        while (ready_.size() > workers_.size() && !worker.queue.empty() &&
               static_cast<int>(worker.queue.size()) <= options_.queue_ahead && is_short(worker.queue.back())) {
            const auto i = choose(worker, now);
            if (!i || !is_short(*i)) break;
            assign(worker, *i, now, step);
        }
    }
}

void Master::to_all(const Message& message, Step& step) const {
    for (const auto& worker : workers_) step.send.push_back({worker.rank, message});
}

void Master::run_round(double now, Step& step) {
    if (!fault_.empty()) return;  // nothing is written to a disk that fails
    const double mean_wait = commits_ > 0 ? commit_wait_ / static_cast<double>(commits_) : 0;
    if (!preparing_) {
        const double pause = std::max(options_.commit_seconds, mean_wait / kCommitShare);
        // Once the end is near, the last commit does it all.
        if (!news_ || stopping_ || now - last_commit_ < pause) return;
        preparing_ = true;
        for (auto& worker : workers_) worker.ready = false;
        to_all({Message::Kind::prepare, 0, {{"round", commits_}}}, step);
    } else if (std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker.ready; })) {
        to_all({Message::Kind::go, 0, {{"round", commits_}}}, step);
        step.commit = true;
        preparing_ = news_ = false;
        ++commits_;
        last_commit_ = now;
    }
}

void Master::watch(double now, Step& step) {
    for (auto& worker : workers_) {
        if (worker.queue.empty() || worker.overdue || now - worker.heard <= options_.task_timeout) continue;
        worker.overdue = true;
        step.events.push_back({SweepEvent::Kind::overdue, worker.rank, entries_[worker.queue.front()].task.label,
                               "no safe point for " + format_duration(now - worker.heard)});
    }
}

void Master::tell_blocked(Step& step) {
    step.blocked.insert(step.blocked.end(), std::make_move_iterator(new_blocked_.begin()), std::make_move_iterator(new_blocked_.end()));
    new_blocked_.clear();
    step.events.insert(step.events.end(), std::make_move_iterator(new_events_.begin()), std::make_move_iterator(new_events_.end()));
    new_events_.clear();
}

void Master::give_up(double now, Step& step) {
    const auto hangs = [&](const WorkerState& worker) {
        return worker.overdue && (stopping_ || now - worker.heard > 2 * options_.task_timeout);
    };
    if (!options_.gives_up || idle() || !std::all_of(workers_.begin(), workers_.end(), [&](const auto& w) { return w.queue.empty() || hangs(w); })) return;
    std::vector<std::pair<std::size_t, std::string>> hung;
    double waited = 0;
    for (const auto& worker : workers_) {
        if (worker.queue.empty()) continue;
        Entry& entry = entries_[worker.queue.front()];
        hung.emplace_back(worker.queue.front(), "no safe point for " + format_duration(now - worker.heard) + " in rank " + std::to_string(worker.rank) +
                                                    "; run.task_timeout is " + format_duration(options_.task_timeout));
        waited = std::max(waited, now - worker.heard);
        step.blocked.push_back({entry.task.label, entry.task.results, hung.back().second, true, false, true});
        entry.state = State::failed;
        ++failed_tasks_;
        ++tasks_ended_;
    }
    // Once all of them are out of play. A task without results of its own is counted only in those of its dependents.
    for (const auto& [i, reason] : hung) block_dependents(i, "task '" + entries_[i].task.label + "' failed: " + reason, /*retryable=*/true);
    tell_blocked(step);
    // The next attempt may fail in the same words. A journal tells another attempt from the same record by its seconds.
    for (auto& blocked : step.blocked) blocked.seconds = waited;
    step.abandoned = true;
}

bool Master::idle() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker.queue.empty(); });
}

Master::Step Master::step(double now) {
    Step step;
    if (finished_) throw std::logic_error("the master was asked for another step after it had finished");
    if (now >= options_.deadline) stop_wanted_ = true;
    if (stop_wanted_ && !stopping_) {
        stopping_ = true;
        to_all({Message::Kind::stop, 0, {}}, step);
    }
    if (!stopping_) {
        if (priorities_stale_) update_priorities();
        dispatch(now, step);
        if (idle() && ready_.empty() && ready_alone_.empty()) {
            // Nothing runs and nothing can start: whoever still waits, waits for itself.
            for (std::size_t i = 0; i < entries_.size(); ++i) {
                block(i, "task '" + entries_[i].task.label + "' needs what only tasks that wait for it make", false);
            }
        }
    }
    run_round(now, step);
    watch(now, step);
    tell_blocked(step);
    give_up(now, step);

    // A step that commits is followed by another one; finishing takes a step of its own.
    if (!step.commit && idle()) {
        if (!ready_.empty() || !ready_alone_.empty()) stopping_ = true;  // not enough time left for any of them
        finished_ = true;
        step.finished = true;
        step.last_commit = fault_.empty();
        to_all({Message::Kind::finish, 0, {{"commit", step.last_commit}, {"outcome", outcome()}}}, step);
    }
    const auto counts = all_counts();
    if (pace_.empty() || now - pace_.back().first >= 1) pace_.push_back({now, counts.done + counts.failed});
    while (pace_.size() > 2 && now - pace_[1].first >= kPaceWindow) pace_.pop_front();
    return step;
}

Progress::Counts Master::all_counts() const {
    Progress::Counts all;
    for (const auto& [kind, counts] : counts_) {
        all.total += counts.total;
        all.done += counts.done;
        all.failed += counts.failed;
        all.blocked += counts.blocked;
    }
    return all;
}

Progress Master::progress(double now) const {
    Progress progress;
    progress.results = counts_;
    progress.all = all_counts();
    progress.tasks = static_cast<std::int64_t>(entries_.size());
    progress.tasks_ended = tasks_ended_;
    progress.workers = static_cast<int>(workers_.size());
    progress.elapsed = now;
    progress.commits = commits_;
    progress.stopping = stopping_;
    double remaining = 0;
    for (const auto& entry : entries_) {
        if (!open(entry)) continue;
        remaining += estimate(entry.task);
    }
    double critical = ready_.empty() ? 0 : -ready_.begin()->first;
    for (const auto& worker : workers_) {
        if (worker.queue.empty()) continue;
        const Entry& entry = entries_[worker.queue.front()];
        const double since = std::max(0.0, now - worker.since), own = std::min(since, estimate(entry.task));
        progress.running.push_back(
            {worker.rank, entry.task.kind, entry.task.label, since, std::max(0.0, now - worker.heard)});
        remaining -= own;
        critical = std::max(critical, entry.priority - own);
    }
    if (!rates_.empty()) progress.eta = std::max(remaining / static_cast<double>(workers_.size()), critical);
    if (!pace_.empty() && now > pace_.front().first) {
        const auto results = progress.all.done + progress.all.failed - pace_.front().second;
        progress.rate = static_cast<double>(results) / (now - pace_.front().first);
    }
    return progress;
}

SweepOutcome Master::outcome() const {
    SweepOutcome outcome;
    const auto all = all_counts();
    outcome.done = all.done;
    outcome.failed = all.failed;
    outcome.blocked = all.blocked;
    outcome.unfinished = all.total - all.done - all.failed - all.blocked;
    outcome.failed_tasks = failed_tasks_;
    outcome.commits = commits_;
    const bool left = std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return open(entry) || entry.state == State::unfinished;
    });
    outcome.stopped = stopping_ && left;
    outcome.fault = fault_;
    for (const auto& [kind, rate] : rates_) outcome.seconds_per_work[kind] = rate.seconds / rate.work;
    return outcome;
}

}  // namespace cmsweep
