#include "verdict.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>
#include <tuple>

#include <boost/math/distributions/students_t.hpp>

#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/plan/tables.hpp"

namespace cmsweep {
namespace {

/// One setting at one layer with its rows by seed.
struct Candidate {
    const ExperimentRow* example = nullptr;
    std::map<std::int64_t, const ExperimentRow*> by_seed;

    double mean(double ExperimentRow::*field) const {
        double sum = 0;
        for (const auto& [seed, row] : by_seed) sum += row->*field;
        return sum / static_cast<double>(by_seed.size());
    }
    /// Do the seeds hold different computations?
    bool varies() const {
        std::set<std::string> ids;
        for (const auto& [seed, row] : by_seed) ids.insert(row->id);
        return ids.size() > 1;
    }
};

/// The lowest loss on the select split among those with the most seeds: while a sweep runs, a setting with few seeds may be lucky.
const Candidate* best_on_select(const std::vector<const Candidate*>& candidates) {
    const Candidate* best = nullptr;
    for (const auto* candidate : candidates) {
        const auto better = [&] {
            if (candidate->by_seed.size() != best->by_seed.size()) return candidate->by_seed.size() > best->by_seed.size();
            return candidate->mean(&ExperimentRow::loss_select) < best->mean(&ExperimentRow::loss_select);
        };
        if (!best || better()) best = candidate;
    }
    return best;
}

/// Test loss of `first` minus that of `second`, paired: over the seeds that both have where they vary, else over the text's blocks.
MeanInterval paired_difference(const Candidate& first, const Candidate& second, std::string& over) {
    const ExperimentRow *one = first.example, *other = second.example;
    std::vector<double> differences;
    if (first.varies() || second.varies()) {
        over = "seeds";
        for (const auto& [seed, row] : second.by_seed) {
            const auto paired = first.by_seed.find(seed);
            if (paired == first.by_seed.end()) continue;
            if (differences.empty()) one = paired->second, other = row;
            differences.push_back(paired->second->loss - row->loss);
        }
        if (differences.size() != 1) return mean_interval(differences);
        differences.clear();
    }
    over = "text blocks";
    for (std::size_t b = 0; b < 64; ++b) {
        const double difference = one->block_loss[b] - other->block_loss[b];
        if (std::isfinite(difference)) differences.push_back(difference);
    }
    return mean_interval(differences);
}

// Losses are float32 sums: combinations of equal models differ by less than this, nats.
constexpr double kRounding = 1e-5;

/// A family's verdict with the setting it speaks of.
struct Choice {
    FamilyVerdict verdict;
    const Candidate* candidate = nullptr;
};

/// The cheapest of the families that gain with certainty whose loss is not certainly above that of the best of them, which is the one
/// of the lowest select loss; analysis/verdict.py states the rule and must agree. A sentence, and the family's setting if there is one.
std::pair<std::string, const Candidate*> recommend(const PairVerdict& verdict, const std::vector<Choice>& families) {
    if (!verdict.unmeasured.empty()) {
        std::string text = "no verdict yet: not measured alone: ";
        for (std::size_t i = 0; i < verdict.unmeasured.size(); ++i) text += (i > 0 ? ", " : "") + verdict.unmeasured[i];
        return {text, nullptr};
    }
    const bool base_alone = std::all_of(verdict.degrees.begin(), verdict.degrees.end(), [](std::int64_t degree) { return degree == 0; });
    if (base_alone) return {"do not combine: every member is still the base; what a method gains here is adaptation to the target's text", nullptr};
    std::vector<Choice> gaining;
    std::copy_if(families.begin(), families.end(), std::back_inserter(gaining), [](const Choice& family) { return family.verdict.low > kRounding; });
    if (gaining.empty()) return {"do not combine: no family gains over " + verdict.best_single + " with certainty", nullptr};
    const auto& best = *std::min_element(gaining.begin(), gaining.end(), [](const Choice& a, const Choice& b) {
        return a.candidate->mean(&ExperimentRow::loss_select) < b.candidate->mean(&ExperimentRow::loss_select);
    });
    const auto cost = [](const Choice& family) {
        const ExperimentRow& row = *family.candidate->example;
        return std::tuple(row.flops, row.stored, row.target_tokens);
    };
    const Choice* cheapest = nullptr;
    for (const auto& family : gaining) {
        std::string over;
        const bool near = family.candidate == best.candidate || !(paired_difference(*family.candidate, *best.candidate, over).low > kRounding);
        if (near && (!cheapest || cost(family) < cost(*cheapest))) cheapest = &family;
    }
    static const std::map<std::string, std::string> kWords{
        {"parameter", "combine by parameters"}, {"activation", "combine by features"}, {"routing", "combine by routing"}, {"output", "combine at the outputs"}};
    const FamilyVerdict& chosen = cheapest->verdict;
    return {kWords.at(chosen.family) + ": " + chosen.method + (chosen.layer == "none" ? "" : ", layer " + chosen.layer), cheapest->candidate};
}

}  // namespace

MeanInterval mean_interval(const std::vector<double>& differences) {
    MeanInterval result;
    result.n = static_cast<int>(differences.size());
    const double infinity = std::numeric_limits<double>::infinity();
    if (result.n == 0) return {std::numeric_limits<double>::quiet_NaN(), -infinity, infinity, 0};
    for (const double d : differences) result.mean += d / result.n;
    if (result.n == 1) {
        result.low = -infinity;
        result.high = infinity;
        return result;
    }
    double squares = 0;
    for (const double d : differences) squares += (d - result.mean) * (d - result.mean);
    const double error = std::sqrt(squares / (result.n - 1) / result.n);
    const double t = boost::math::quantile(boost::math::students_t(result.n - 1), 0.975);
    result.low = result.mean - t * error;
    result.high = result.mean + t * error;
    return result;
}

std::vector<PairVerdict> make_verdicts(const std::vector<ExperimentRow>& rows) {
    using Group = std::tuple<std::string, std::vector<std::int64_t>, std::string>;
    using Key = std::tuple<std::string, std::string, std::string>;  // method, setting, layer
    std::map<Group, std::map<Key, Candidate>> groups;
    std::vector<Group> order;
    // Models alone: (name, degree, target).
    std::map<std::tuple<std::string, std::int64_t, std::string>, Candidate> singles;
    for (const auto& row : rows) {
        if (!row.in_plan || row.status != static_cast<int>(RowStatus::done) || row.members.empty()) continue;
        if (row.method == "specialist" || row.method == "base") {
            auto& candidate = singles[{row.members[0], row.degrees[0], row.target}];
            candidate.by_seed[row.seed] = &row;
            if (!candidate.example) candidate.example = &row;
            continue;
        }
        const Group group{row.pair, row.degrees, row.target};
        if (!groups.count(group)) order.push_back(group);
        auto& candidate = groups[group][{row.method, row.setting, row.layer}];
        candidate.by_seed[row.seed] = &row;
        if (!candidate.example) candidate.example = &row;
    }

    std::vector<PairVerdict> verdicts;
    for (const auto& group : order) {
        const auto& [pair, degrees, target] = group;
        const auto& candidates = groups.at(group);
        PairVerdict verdict;
        verdict.pair = pair;
        verdict.degrees = degrees;
        verdict.target = target;
        std::set<std::int64_t> seeds;  // of the combinations
        for (const auto& [key, candidate] : candidates) {
            const MethodInfo* method = find_method(std::get<0>(key));
            if (!method || method->family == Family::reference) continue;
            for (const auto& [seed, row] : candidate.by_seed) seeds.insert(seed);
        }
        std::vector<const Candidate*> alone;
        const auto add = [&](const std::string& name, const Candidate& candidate) {
            alone.push_back(&candidate);
            const bool everywhere = std::all_of(seeds.begin(), seeds.end(), [&](std::int64_t seed) { return candidate.by_seed.count(seed) > 0; });
            if (!everywhere) verdict.unmeasured.push_back(name);
        };
        const auto base = singles.find({"base", 0, target});
        if (base != singles.end()) {
            add("base", base->second);
            verdict.base_loss = base->second.mean(&ExperimentRow::loss);
        } else {
            verdict.base_loss = std::numeric_limits<double>::quiet_NaN();
            verdict.unmeasured.push_back("base");
        }
        const auto& members = candidates.begin()->second.example->members;
        for (std::size_t m = 0; m < members.size(); ++m) {
            const auto single = singles.find({members[m], degrees[m], target});
            if (single != singles.end()) add(members[m], single->second);
            else if (degrees[m] != 0 || base == singles.end()) verdict.unmeasured.push_back(members[m]);  // at degree 0 it is the base
        }
        const Candidate* single = best_on_select(alone);
        if (!single) continue;
        verdict.best_single = single->example->members[0];
        verdict.best_single_loss = single->mean(&ExperimentRow::loss);

        std::vector<Choice> chosen;
        for (const Family family : {Family::parameter, Family::activation, Family::routing, Family::output}) {
            std::vector<const Candidate*> of_family;
            for (const auto& [key, candidate] : candidates) {
                const MethodInfo* method = find_method(std::get<0>(key));
                if (method && method->family == family) of_family.push_back(&candidate);
            }
            const Candidate* best = best_on_select(of_family);
            if (!best) continue;
            FamilyVerdict entry;
            entry.family = family_name(family);
            entry.method = best->example->method;
            entry.setting = best->example->setting;
            entry.layer = best->example->layer;
            entry.loss = best->mean(&ExperimentRow::loss);
            const MeanInterval gain = paired_difference(*single, *best, entry.over);
            entry.gain = gain.mean;
            entry.low = gain.low;
            entry.high = gain.high;
            entry.n = gain.n;
            entry.stored_ratio = best->example->stored / single->example->stored;
            entry.flops_ratio = best->example->flops / single->example->flops;
            entry.target_tokens = best->example->target_tokens;
            chosen.push_back({std::move(entry), best});
        }
        if (chosen.empty()) continue;  // models trained instead of combining are no combination
        const Candidate* recommended = nullptr;
        std::tie(verdict.recommendation, recommended) = recommend(verdict, chosen);
        for (const char* name : {"finetune_target", "joint"}) {
            std::vector<const Candidate*> of_method;
            for (const auto& [key, candidate] : candidates) {
                if (std::get<0>(key) == name) of_method.push_back(&candidate);
            }
            const Candidate* trained = best_on_select(of_method);
            if (!trained || !verdict.unmeasured.empty()) continue;
            TrainedInstead entry{name, {}, {}};
            entry.gain = paired_difference(recommended ? *recommended : *single, *trained, entry.over);
            if (entry.gain.low > kRounding) verdict.instead.push_back(std::move(entry));
        }
        for (auto& family : chosen) verdict.families.push_back(std::move(family.verdict));
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

}  // namespace cmsweep
