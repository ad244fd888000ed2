// Whole sweeps on a simulated cluster: many random task graphs, seeded durations, message delays, failures and stops.
#include <algorithm>
#include <deque>
#include <map>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "cmsweep/base/random.hpp"
#include "cmsweep/sched/master.hpp"
#include "graph.hpp"

namespace cmsweep {
namespace {

struct Scenario {
    std::vector<Task> tasks;
    std::map<Id, double> seconds;        ///< true duration by task
    std::map<Id, bool> fails;            ///< at its end, before its last asset
    int workers = 1;
    double stop_at = 1e300;
    double step_seconds = 0;             ///< between safe points; 0: 1 to 20 steps a task
    MasterOptions options;
};

/// What came of it.
struct Trace {
    std::map<ResultKey, int> computed;
    std::map<Id, double> began, ended;   ///< by task
    std::map<Id, double> made;           ///< by asset
    std::vector<std::vector<int>> commits;  ///< by worker: the rounds that it joined, -1 for the last commit
    std::set<ResultKey> blocked;
    double end = 0;
    double longest_wait = 0;             ///< of any rank in a commit
    SweepOutcome outcome;
};

/// Workers as the Worker class behaves, in simulated time: tasks are chains of steps with safe points between them;
/// messages need a moment; a commit holds everybody until all are in it.
class Cluster {
public:
    Cluster(Scenario scenario, std::uint64_t seed)
        : scenario_(std::move(scenario)),
          random_(seed, "cluster"),
          master_(scenario_.tasks, nothing_exists, ranks(), scenario_.options) {
        for (const auto& task : scenario_.tasks) tasks_[task.id] = &task;
        workers_.resize(static_cast<std::size_t>(scenario_.workers));
        trace_.commits.resize(workers_.size());
    }

    Trace run() {
        bool stopped = false;
        step_master();
        while (!finished_ || std::any_of(workers_.begin(), workers_.end(), [](const auto& w) { return !w.left; })) {
            if (events_.empty()) throw std::logic_error("deadlock at " + std::to_string(now_));
            const Event event = events_.top();
            events_.pop();
            now_ = event.time;
            if (now_ > 1e7) throw std::logic_error("the sweep does not end");
            if (!stopped && now_ >= scenario_.stop_at) {
                stopped = true;
                master_.stop();
            }
            if (event.worker < 0) {
                master_polls_ = false;
                if (!in_commit_) step_master();
            } else {
                look(static_cast<std::size_t>(event.worker));
            }
        }
        trace_.end = now_;
        trace_.outcome = master_.outcome();
        return trace_;
    }

private:
    struct Event {
        double time;
        std::uint64_t order;
        int worker;  ///< -1: the master
        bool operator>(const Event& other) const { return std::tie(time, order) > std::tie(other.time, other.order); }
    };
    struct Arriving {
        double time;
        Message message;
    };
    struct Simulated {
        std::deque<Arriving> inbox;
        std::deque<Id> queue;
        const Task* running = nullptr;
        int step = 0, steps = 0;
        double next_step = 0;    ///< time of the next safe point
        double held_since = -1;  ///< in a commit
        int done = 0;
        int commits = 0;
        bool news = false, stopping = false, last = false, left = false;
    };

    std::vector<int> ranks() const {
        std::vector<int> all;
        for (int r = 1; r <= scenario_.workers; ++r) all.push_back(r);
        return all;
    }
    void at(double time, int worker) { events_.push({time, ++order_, worker}); }
    double delay() { return 1e-4 + 5e-3 * random_.uniform(); }

    void tell_master(std::size_t w, Message::Kind kind, nlohmann::json body) {
        auto& last = last_to_master_[w];
        last = std::max(last, now_ + delay());  // in order
        to_master_.push_back({last, {kind, static_cast<int>(w) + 1, std::move(body)}});
        at(last, -1);
    }

    void step_master() {
        while (true) {
            const auto due = std::find_if(to_master_.begin(), to_master_.end(), [&](const auto& a) { return a.time <= now_; });
            if (due == to_master_.end()) break;
            const Message message = due->message;
            to_master_.erase(due);
            master_.receive(message, now_);
        }
        if (finished_) return;
        const auto step = master_.step(now_);
        for (const auto& blocked : step.blocked) trace_.blocked.insert(blocked.results.begin(), blocked.results.end());
        for (const auto& [rank, message] : step.send) {
            const auto w = static_cast<std::size_t>(rank - 1);
            auto& last = last_to_worker_[w];
            last = std::max(last, now_ + delay());
            workers_[w].inbox.push_back({last, message});
            at(last, static_cast<int>(w));
        }
        in_commit_ = step.commit || step.finished;
        finished_ = step.finished;
        if (step.commit) entered_ = now_;
        if (!master_polls_ && !finished_) {
            master_polls_ = true;
            at(now_ + 0.1, -1);
        }
    }

    void begin(std::size_t w) {
        Simulated& worker = workers_[w];
        const Task& task = *tasks_.at(worker.queue.front());
        worker.queue.pop_front();
        if (worker.stopping) return finish(w, task, "unfinished");
        for (const Id& need : task.needs) {
            ASSERT_TRUE(trace_.made.count(need)) << task.label << " began before its need was there";
        }
        ASSERT_TRUE(trace_.began.emplace(task.id, now_).second) << task.label << " ran twice";
        worker.running = &task;
        worker.step = worker.done = 0;
        worker.steps = scenario_.step_seconds > 0 ? std::max(1, static_cast<int>(scenario_.seconds.at(task.id) / scenario_.step_seconds))
                                                 : 1 + static_cast<int>(random_.below(20));
        worker.next_step = now_ + scenario_.seconds.at(task.id) / worker.steps;
        tell_master(w, Message::Kind::started, {{"task", task.id}});
        at(worker.next_step, static_cast<int>(w));
    }

    void finish(std::size_t w, const Task& task, const std::string& outcome) {
        Simulated& worker = workers_[w];
        worker.running = nullptr;
        trace_.ended[task.id] = now_;
        tell_master(w, Message::Kind::finished,
                    {{"task", task.id}, {"outcome", outcome}, {"retryable", true}, {"message", "simulated"},
                     {"seconds", scenario_.seconds.at(task.id)}, {"done", worker.done},
                     {"failed", outcome == "failed" ? static_cast<int>(task.results.size()) - worker.done : 0},
                     {"news", worker.news}, {"commits", worker.commits}});
        worker.done = 0;
    }

    void deliver(Simulated& worker, const Task& task, int until) {
        for (; worker.done < until; ++worker.done) {
            ++trace_.computed[task.results[static_cast<std::size_t>(worker.done)]];
            worker.news = true;
        }
    }

    /// The end of a step: results and assets come evenly over the task.
    void make_step(std::size_t w) {
        Simulated& worker = workers_[w];
        const Task& task = *worker.running;
        ++worker.step;
        const bool last = worker.step == worker.steps, fails = scenario_.fails.at(task.id);
        const auto share = [&](std::size_t n) { return static_cast<int>(n) * worker.step / worker.steps; };
        for (int i = 0; i < share(task.produces.size()) - (last && fails ? 1 : 0); ++i) {
            const Id asset = task.produces[static_cast<std::size_t>(i)];
            if (trace_.made.emplace(asset, now_).second) tell_master(w, Message::Kind::published, {{"asset", asset}});
        }
        const int before = worker.done;
        deliver(worker, task, share(task.results.size()) - (last && fails ? 1 : 0));
        if (worker.done != before && !last) {
            tell_master(w, Message::Kind::news,
                        {{"task", task.id}, {"done", worker.done}, {"failed", 0}, {"news", true}, {"commits", worker.commits}});
        }
        if (last) return finish(w, task, fails ? "failed" : "done");
        worker.next_step = now_ + scenario_.seconds.at(task.id) / worker.steps;
    }

    /// Something may have changed for this worker.
    void look(std::size_t w) {
        Simulated& worker = workers_[w];
        if (worker.left || worker.held_since >= 0) return;
        if (worker.running) {
            if (now_ < worker.next_step) return;  // between safe points it hears nothing
            make_step(w);
        }
        while (!worker.inbox.empty() && worker.inbox.front().time <= now_) {
            const Message message = worker.inbox.front().message;
            worker.inbox.pop_front();
            switch (message.kind) {
                case Message::Kind::assign: worker.queue.push_back(message.body.at("task").get<Task>().id); break;
                case Message::Kind::prepare: tell_master(w, Message::Kind::ready, {{"round", message.body.at("round")}}); break;
                case Message::Kind::stop: worker.stopping = true; break;
                case Message::Kind::go:
                case Message::Kind::finish:
                    worker.last = message.kind == Message::Kind::finish;
                    ASSERT_TRUE(!worker.last || (!worker.running && worker.queue.empty()));
                    trace_.commits[w].push_back(worker.last ? -1 : worker.commits);
                    worker.held_since = now_;
                    worker.news = false;
                    ++worker.commits;
                    return release();
                default: FAIL() << "a worker got a message of kind " << static_cast<int>(message.kind);
            }
        }
        if (worker.running && worker.stopping) finish(w, *worker.running, "unfinished");
        while (!worker.running && !worker.queue.empty()) begin(w);
        if (worker.running) at(worker.next_step, static_cast<int>(w));
    }

    /// Everybody leaves the commit when the last one has come.
    void release() {
        if (!in_commit_) throw std::logic_error("a worker commits and the master does not");
        for (const auto& worker : workers_) {
            if (worker.held_since < 0) return;
        }
        in_commit_ = false;
        const double over = now_ + 0.01;
        if (!finished_) master_.committed(over, over - entered_);
        at(over, -1);
        for (std::size_t w = 0; w < workers_.size(); ++w) {
            Simulated& worker = workers_[w];
            trace_.longest_wait = std::max(trace_.longest_wait, over - worker.held_since);
            worker.held_since = -1;
            worker.left = worker.last;
            if (worker.running) worker.next_step += 0.01;
            at(worker.running ? worker.next_step : over + 1e-9, static_cast<int>(w));
        }
    }

    Scenario scenario_;
    Stream random_;
    Master master_;
    std::map<Id, const Task*> tasks_;
    std::vector<Simulated> workers_;
    std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
    std::vector<Arriving> to_master_;
    std::map<std::size_t, double> last_to_master_, last_to_worker_;
    std::uint64_t order_ = 0;
    double now_ = 0, entered_ = 0;
    bool in_commit_ = false, finished_ = false, master_polls_ = false;
    Trace trace_;
};

/// Trajectories with several checkpoints, representations of them, comparisons of two, merges of two or three.
Scenario random_sweep(std::uint64_t seed, bool failures) {
    Stream random(seed, "sweep");
    Scenario scenario;
    scenario.workers = 1 + static_cast<int>(random.below(6));
    scenario.options.commit_seconds = 0.5 + 5 * random.uniform();
    std::vector<std::string> models, features;
    const auto add = [&](const std::string& name, TaskKind kind, const std::vector<std::string>& needs,
                         const std::vector<std::string>& made) {
        auto task = make_task(name, kind, 0, needs, made, 1 + static_cast<int>(random.below(5)));
        // Durations spread over a factor of 100, and the estimate is off by up to 2 either way.
        const double seconds = (kind == TaskKind::specialise ? 20 : 0.2) * std::pow(10, 2 * random.uniform());
        task.work = seconds * 1e10 * std::pow(2, 2 * random.uniform() - 1);
        scenario.seconds[task.id] = seconds;
        scenario.fails[task.id] = failures && random.uniform() < 0.1;
        scenario.tasks.push_back(task);
    };
    const auto pick = [&](const std::vector<std::string>& from) { return from[random.below(from.size())]; };
    for (std::uint64_t i = 0, n = 1 + random.below(4); i < n; ++i) {
        std::vector<std::string> degrees;
        for (std::uint64_t d = 0, m = 1 + random.below(5); d < m; ++d) {
            degrees.push_back("model " + std::to_string(i) + " at " + std::to_string(d));
        }
        add("train " + std::to_string(i), TaskKind::specialise, {}, degrees);
        models.insert(models.end(), degrees.begin(), degrees.end());
    }
    for (const auto& model : models) {
        if (random.uniform() < 0.3) continue;
        features.push_back("features of " + model);
        add("represent " + model, TaskKind::represent, {model}, {features.back()});
    }
    for (std::uint64_t i = 0, n = random.below(15); i < n && !features.empty(); ++i) {
        add("compare " + std::to_string(i), TaskKind::compare, {pick(features), pick(features)}, {});
    }
    for (std::uint64_t i = 0, n = random.below(60); i < n; ++i) {
        add("merge " + std::to_string(i), TaskKind::merge, {pick(models), pick(models)}, {});
    }
    return scenario;
}

void check(const Scenario& scenario, const Trace& trace) {
    std::size_t results = 0, computed = 0;
    for (const auto& task : scenario.tasks) {
        results += task.results.size();
        for (const auto& key : task.results) {
            EXPECT_LE(trace.computed.count(key) ? trace.computed.at(key) : 0, 1) << task.label;
            EXPECT_FALSE(trace.computed.count(key) && trace.blocked.count(key)) << task.label;
        }
        for (const Id& need : task.needs) {
            if (!trace.began.count(task.id)) continue;
            EXPECT_LE(trace.made.at(need), trace.began.at(task.id)) << task.label;
        }
    }
    computed = trace.computed.size();
    const auto& outcome = trace.outcome;
    EXPECT_EQ(outcome.done, static_cast<std::int64_t>(computed));
    EXPECT_EQ(outcome.blocked, static_cast<std::int64_t>(trace.blocked.size()));
    EXPECT_EQ(outcome.done + outcome.failed + outcome.blocked + outcome.unfinished, static_cast<std::int64_t>(results));
    // Collective calls match: everybody joined the same rounds in the same order, and the last commit once at the end.
    for (const auto& commits : trace.commits) {
        EXPECT_EQ(commits, trace.commits.front());
        EXPECT_EQ(std::count(commits.begin(), commits.end(), -1), 1);
        EXPECT_EQ(commits.back(), -1);
        EXPECT_EQ(static_cast<std::int64_t>(commits.size()), outcome.commits + 1);
    }
}

/// Random clusters of each kind; a sanitizer makes each many times slower.
#ifdef __SANITIZE_ADDRESS__
constexpr std::uint64_t kClusters = 30;
#else
constexpr std::uint64_t kClusters = 300;
#endif

TEST(Simulation, EveryResultIsComputedExactlyOnceInAnOrderThatRespectsNeeds) {
    std::int64_t rounds = 0;
    for (std::uint64_t seed = 0; seed < kClusters; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const auto scenario = random_sweep(seed, /*failures=*/false);
        const Trace trace = Cluster(scenario, seed).run();
        check(scenario, trace);
        EXPECT_EQ(trace.outcome.unfinished + trace.outcome.failed + trace.outcome.blocked, 0);
        EXPECT_FALSE(trace.outcome.stopped);
        rounds += trace.outcome.commits;
        if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    EXPECT_GT(rounds, static_cast<std::int64_t>(kClusters / 3));  // commits did happen in between, though steps here last minutes
}

TEST(Simulation, FailuresBlockTheirDependentsAndNothingElseIsLost) {
    std::int64_t blocked = 0;
    for (std::uint64_t seed = 1000; seed < 1000 + kClusters; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const auto scenario = random_sweep(seed, /*failures=*/true);
        const Trace trace = Cluster(scenario, seed).run();
        check(scenario, trace);
        EXPECT_EQ(trace.outcome.unfinished, 0);
        for (const auto& task : scenario.tasks) {
            const auto made = [&](const Id& need) { return trace.made.count(need) > 0; };
            const bool possible = std::all_of(task.needs.begin(), task.needs.end(), made);
            EXPECT_EQ(trace.began.count(task.id) > 0, possible) << task.label;
        }
        blocked += trace.outcome.blocked;
        if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    EXPECT_GT(blocked, static_cast<std::int64_t>(kClusters / 3));
}

TEST(Simulation, AStopAtAnyMomentEndsInOneLastCommitWithinTheLongestStep) {
    std::int64_t left = 0;
    for (std::uint64_t seed = 2000; seed < 2000 + kClusters; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        auto scenario = random_sweep(seed, /*failures=*/seed % 2 == 0);
        scenario.stop_at = 200 * Stream(seed, "stop").uniform();
        double longest = 0;
        for (const auto& [task, seconds] : scenario.seconds) longest = std::max(longest, seconds);
        const Trace trace = Cluster(scenario, seed).run();
        check(scenario, trace);
        EXPECT_LE(trace.end, scenario.stop_at + longest + 2);  // a task of a single step runs to its end
        EXPECT_EQ(trace.outcome.stopped, trace.outcome.unfinished > 0);
        left += trace.outcome.unfinished;
        if (HasFatalFailure() || HasNonfatalFailure()) return;
    }
    EXPECT_GT(left, static_cast<std::int64_t>(kClusters * 10 / 3));
}

TEST(Simulation, ALongTaskDoesNotHoldUpTheCommitsOfOthers) {
    // One task of 1000 s in steps of 1 s; 100 short ones on the other two workers, commits every 5 s at most.
    Scenario scenario;
    scenario.step_seconds = 1;
    scenario.workers = 3;
    scenario.options.commit_seconds = 5;
    scenario.tasks.push_back(make_task("long", TaskKind::specialise, 1000e9));
    for (int i = 0; i < 100; ++i) scenario.tasks.push_back(make_task(numbered(i), TaskKind::merge, 10e9));
    for (const auto& task : scenario.tasks) {
        scenario.seconds[task.id] = task.work / 1e9;
        scenario.fails[task.id] = false;
    }
    const Trace trace = Cluster(scenario, 1).run();
    check(scenario, trace);
    // Others wait for a step of the long task at most, so a round costs up to 1 s and comes about every 50 x its cost: the short
    // tasks' 500 s hold several.
    EXPECT_GE(trace.outcome.commits, 5);
    EXPECT_LE(trace.longest_wait, 1.1);
}

TEST(Simulation, KeepsWorkersBusy) {
    // The list-scheduling bound (Graham 1969) holds for any greedy order: at most work / workers + longest chain. Sending
    // ahead and message delays may cost a little more.
    for (std::uint64_t seed = 3000; seed < 3000 + kClusters * 2 / 3; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        auto scenario = random_sweep(seed, false);
        scenario.options.commit_seconds = 1e9;  // waiting in commits is measured elsewhere
        double work = 0, chain = 0;
        std::map<Id, double> at;
        for (const auto& task : scenario.tasks) {  // makers come first
            double start = 0;
            for (const Id& need : task.needs) start = std::max(start, at.at(need));
            const double end = start + scenario.seconds.at(task.id);
            for (const Id& made : task.produces) at[made] = end;
            work += scenario.seconds.at(task.id);
            chain = std::max(chain, end);
        }
        const Trace trace = Cluster(scenario, seed).run();
        const double slack = 4 + 0.1 * static_cast<double>(scenario.tasks.size());
        EXPECT_LE(trace.end, work / scenario.workers + chain + slack);
    }
}

}  // namespace
}  // namespace cmsweep
