#include "cmsweep/plan/plan.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>
#include <unordered_set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/core/merge/weights.hpp"
#include "cmsweep/core/similarity/metric.hpp"
#include "identity.hpp"

namespace cmsweep {
namespace {

constexpr int kRowVersion = 1;
constexpr int kComparisonVersion = 1;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

/// One axis of names; codes are positions in order of first use.
class NameTable {
public:
    std::int64_t code(const std::string& name) {
        const auto [place, fresh] = codes_.emplace(name, names_.size());
        if (fresh) names_.push_back(name);
        return static_cast<std::int64_t>(place->second);
    }
    const std::vector<std::string>& names() const { return names_; }

private:
    std::unordered_map<std::string, std::size_t> codes_;
    std::vector<std::string> names_;
};

/// Appends rows to a table, label by label.
class RowWriter {
public:
    explicit RowWriter(TableSpec spec) { rows_.spec = std::move(spec); }

    void begin(const Id& id) { rows_.ids.push_back(id); }
    void label(const std::string& column, double value) { rows_.labels[column].push_back(value); }
    /// One value a member, padded to the table's member dimension.
    void labels(const std::string& column, const std::vector<double>& values, double padding) {
        auto& out = rows_.labels[column];
        const auto width = rows_.spec.dimensions.at("member");
        for (std::int64_t i = 0; i < width; ++i) {
            out.push_back(i < static_cast<std::int64_t>(values.size()) ? values[static_cast<std::size_t>(i)] : padding);
        }
    }
    TableRows take() { return std::move(rows_); }

private:
    TableRows rows_;
};

/// FLOPs of a forward pass per token, for estimates of time only.
double forward_flops(const Geometry& g, std::int64_t context) {
    const double matrices = static_cast<double>(g.blocks) * (4.0 * g.width * g.width + 2.0 * g.width * g.inner) +
                            static_cast<double>(g.width) * g.vocabulary;
    return 2 * matrices + 2.0 * g.width * (context + 1) * g.blocks;
}

struct PlannedMember {
    std::string name;
    std::int64_t degree;
};

/// Expands one config. Each step fills rows, tasks and problems.
class Planner {
public:
    Planner(const Config& config, const InputFacts& facts) : config_(config), facts_(facts), identity_(config, facts) {}

    Plan make();

private:
    void check_contexts_and_text();
    void check_rows(const std::string& probe);
    void check_text(const std::string& corpus, int split, std::int64_t context, const std::string& where, const char* use);
    void collect_degrees();
    void add_base_task();
    void add_trajectories();
    void add_references();
    void add_merges();
    std::int64_t probe_windows(const std::string& corpus) const;
    std::int64_t probe_rows(const std::string& corpus) const;
    void add_comparisons();
    void add_represent_tasks();
    void finish();

    std::int64_t model_code(const std::string& name) { return models_.code(name); }
    ModelNode node(const PlannedMember& member, std::int64_t seed) {
        return identity_.node(member.name, member.degree, seed, model_code(parse_member(member.name).specialist == "base" ? "base" : member.name));
    }
    std::int64_t setting_code(const MethodInfo& method, const nlohmann::json& setting);
    std::string pair_name(const std::vector<std::string>& members) {
        std::string name;
        for (const auto& member : members) name += (name.empty() ? "" : "+") + member;
        if (pairs_.code(name) == static_cast<std::int64_t>(pair_members_.size())) pair_members_.push_back(members);
        return name;
    }
    /// Feature asset of a model on a probe; remembers that it must be made.
    Id features_of(const ModelNode& model, const std::string& probe);
    nlohmann::json target_payload(const std::string& corpus) const;
    nlohmann::json probe_payload(const std::string& corpus) const;
    void write_row(const Id& id, std::int64_t seed, const std::string& pair, const MethodInfo& method,
                   const nlohmann::json& setting, const std::string& target, const LayerSpec& layer,
                   const std::vector<ModelNode>& members, const std::vector<double>& weights);
    std::vector<std::string> training_corpora(const nlohmann::json& setting, const std::vector<PlannedMember>& members,
                                              const std::string& target, const std::string& where);
    ModelNode host_node(const std::vector<PlannedMember>& members, std::int64_t seed);
    void add_merge_rows(const std::vector<PlannedMember>& members, const MethodConfig& method_config,
                        const MethodInfo& method, const LayerSpec& layer, std::int64_t seed);
    void add_task(Task task) {
        task.id = hash_json({{"kind", task_kind_name(task.kind)}, {"results", task.results}, {"produces", task.produces}});
        tasks_.push_back(std::move(task));
    }
    static void add_need(Task& task, const Id& asset) {
        if (asset && std::find(task.needs.begin(), task.needs.end(), asset) == task.needs.end()) task.needs.push_back(asset);
    }

    const Config& config_;
    const InputFacts& facts_;
    Identity identity_;
    std::vector<std::string> problems_;
    Plan plan_;

    NameTable models_, corpora_, pairs_, layers_, methods_, targets_, metrics_, sites_;
    NameTable settings_;
    std::vector<std::vector<std::string>> pair_members_;
    std::vector<LayerSpec> layer_specs_;
    std::vector<std::vector<std::string>> member_lists_;                 ///< the pairs
    std::map<std::string, std::set<std::int64_t>> degrees_of_;           ///< member -> degrees asked for
    std::vector<std::vector<PlannedMember>> combinations_;               ///< pair x degrees
    std::optional<RowWriter> experiments_, similarity_, training_, routing_;
    std::unordered_set<Id> planned_results_;
    std::map<Id, Task> represent_tasks_;  // by feature asset
    std::vector<Id> represent_order_;
    std::vector<Task> tasks_;
    TableSizes sizes_;
};

void Planner::check_text(const std::string& corpus, int split, std::int64_t context, const std::string& where, const char* use) {
    const std::uint64_t tokens = facts_.corpora.at(corpus).tokens[static_cast<std::size_t>(split)];
    if (tokens >= static_cast<std::uint64_t>(context) + 1) return;
    static constexpr const char* kNames[] = {"training", "select", "test"};
    problems_.push_back(where + ": corpus \"" + corpus + "\": its " + kNames[split] + " split has " + std::to_string(tokens) +
                        " tokens, but " + use + " needs windows of context + 1 = " + std::to_string(context + 1) +
                        " tokens: give it more text, a larger holdout or a smaller context");
}

void Planner::check_rows(const std::string& probe) {
    const SimilarityConfig& similarity = config_.similarity;
    const std::int64_t windows = probe_windows(probe), rows = probe_rows(probe);
    std::set<std::string> checked;
    for (const auto& metric : similarity.metrics) {
        const std::int64_t most = find_metric(metric.name)->most_rows;
        if (most == 0 || rows <= most || !checked.insert(metric.name).second) continue;
        std::string of_windows = std::to_string(windows) + " windows";
        if (rows > windows) of_windows += " of " + std::to_string(rows / windows) + " tokens, with pooling = \"token\" " + std::to_string(rows) + " rows";
        problems_.push_back(similarity.where + ": metric \"" + metric.name + "\": it needs all pairs of rows; the probe \"" + probe + "\" has " +
                            of_windows + ", expected at most " + std::to_string(most) + " rows: lower windows, pool by \"mean\", or leave the metric out");
    }
}

void Planner::check_contexts_and_text() {
    const auto check_context = [&](std::int64_t context, const std::string& where) {
        if (context > facts_.geometry.context) {
            problems_.push_back(where + " = " + std::to_string(context) + ": expected at most the model's context " +
                                std::to_string(facts_.geometry.context));
        }
    };
    const std::string file = config_.file.string();
    check_context(config_.evaluate.context, file + ": evaluate.context");
    check_context(config_.similarity.context, file + ": similarity.context");
    if (config_.model.pretrain) {
        check_context(config_.model.pretrain->context, file + ": pretrain.context");
        for (const auto& corpus : config_.model.pretrain_corpora) {
            check_text(corpus, 0, identity_.context_or_model(config_.model.pretrain->context), config_.model.where, "[pretrain]");
        }
    }
    for (const auto& specialist : config_.specialists) {
        if (!specialist.checkpoints.empty()) continue;
        check_context(specialist.training.context, specialist.where + ".context");
        const auto context = identity_.context_or_model(specialist.training.context);
        check_text(specialist.corpus, 0, context, specialist.where, "fine-tuning");
        if (specialist.training.mix_fraction > 0) check_text(specialist.training.mix_corpus, 0, context, specialist.where, "mix");
    }
    if (config_.grid) {
        for (const auto& target : config_.grid->targets) {
            const auto context = identity_.context_or_model(config_.evaluate.context);
            check_text(target, 1, context, config_.grid->where, "evaluation");
            check_text(target, 2, context, config_.grid->where, "evaluation");
        }
        if (config_.similarity.present) {
            for (const auto& probe : config_.similarity.probes) {
                check_text(probe, 2, identity_.context_or_model(config_.similarity.context), config_.similarity.where, "the probe");
                check_rows(probe);
            }
        }
    }
}

void Planner::collect_degrees() {
    const GridConfig& grid = *config_.grid;
    if (grid.all_pairs) {
        for (std::size_t i = 0; i < config_.specialists.size(); ++i) {
            for (std::size_t j = i + 1; j < config_.specialists.size(); ++j) {
                member_lists_.push_back({config_.specialists[i].name, config_.specialists[j].name});
            }
        }
    } else {
        member_lists_ = grid.pairs;
    }
    for (const auto& members : member_lists_) {
        sizes_.members = std::max<std::int64_t>(sizes_.members, static_cast<std::int64_t>(members.size()));
        for (const auto& degrees : grid.degrees) {
            std::vector<PlannedMember> combination;
            for (std::size_t m = 0; m < members.size(); ++m) {
                const std::int64_t degree = degrees.size() == 1 ? degrees[0] : degrees[m];
                combination.push_back({members[m], degree});
                degrees_of_[members[m]].insert(degree);
            }
            combinations_.push_back(std::move(combination));
        }
    }
    if (grid.host != "first" && grid.host != "base" && !degrees_of_.count(grid.host)) {
        // A host that is no member is needed at the degree of the first member.
        for (const auto& combination : combinations_) degrees_of_[grid.host].insert(combination[0].degree);
    }
}

nlohmann::json Planner::target_payload(const std::string& corpus) const {
    nlohmann::json payload = identity_.target(corpus);
    payload["train"] = facts_.corpora.at(corpus).digests[0];
    payload["name"] = corpus;
    return payload;
}

nlohmann::json Planner::probe_payload(const std::string& corpus) const {
    nlohmann::json payload = identity_.probe(corpus);
    payload["sites"] = config_.similarity.sites;
    return payload;
}

void Planner::add_base_task() {
    if (!identity_.base_is_made()) return;
    Task task;
    task.kind = TaskKind::specialise;
    task.label = "pretrain the base";
    const TrainingConfig training = identity_.resolved(*config_.model.pretrain);
    nlohmann::json text = nlohmann::json::array();
    for (const auto& corpus : config_.model.pretrain_corpora) {
        text.push_back({{"digest", facts_.corpora.at(corpus).digests[0]}, {"share", 1.0}});
    }
    task.payload = {{"mode", "pretrain"}, {"base", identity_.base()}, {"seed", 0}, {"twin", 0},
                    {"training", training_to_json(training, false)}, {"text", text}, {"degrees", {training.steps}},
                    {"geometry", facts_.geometry}};
    task.produces = {identity_.base()};
    task.results = {{"training", identity_.base()}};
    planned_results_.insert(identity_.base());
    task.work = 3 * forward_flops(facts_.geometry, training.context) * training.batch * training.context * training.steps;
    training_->begin(identity_.base());
    training_->label("model", static_cast<double>(model_code("base")));
    training_->label("seed", 0);
    add_task(std::move(task));
}

void Planner::add_trajectories() {
    for (const auto& [member, degrees] : degrees_of_) {
        const MemberName name = parse_member(member);
        const SpecialistConfig* specialist = config_.find_specialist(name.specialist);
        if (!specialist || !specialist->checkpoints.empty()) continue;
        if (std::all_of(degrees.begin(), degrees.end(), [](std::int64_t d) { return d == 0; })) continue;
        const TrainingConfig training = identity_.resolved(specialist->training);
        nlohmann::json text = nlohmann::json::array();
        text.push_back({{"digest", facts_.corpora.at(specialist->corpus).digests[0]}, {"share", 1.0 - training.mix_fraction}});
        if (training.mix_fraction > 0) {
            text.push_back({{"digest", facts_.corpora.at(training.mix_corpus).digests[0]}, {"share", training.mix_fraction}});
        }
        for (const std::int64_t seed : config_.seeds) {
            const Id trajectory = identity_.trajectory(name, seed), curve = identity_.curve(name, seed);
            training_->begin(curve);
            training_->label("model", static_cast<double>(model_code(member)));
            training_->label("seed", static_cast<double>(seed));
            if (!planned_results_.insert(curve).second) continue;
            Task task;
            task.kind = TaskKind::specialise;
            task.label = "specialise " + member + ", seed " + std::to_string(seed);
            nlohmann::json checkpoints = nlohmann::json::array();
            std::int64_t last = 0;
            for (const std::int64_t degree : degrees) {
                if (degree == 0) continue;
                const ModelNode model = identity_.node(member, degree, seed, 0);
                checkpoints.push_back(degree);
                task.produces.push_back(model.asset);
                last = std::max(last, degree);
            }
            task.payload = {{"mode", "finetune"}, {"trajectory", trajectory}, {"seed", seed}, {"twin", name.twin},
                            {"training", training_to_json(training, false)}, {"text", text}, {"degrees", checkpoints}};
            task.results = {{"training", curve}};
            if (identity_.base_is_made()) add_need(task, identity_.base());
            task.work = 3 * forward_flops(facts_.geometry, training.context) * training.batch * training.context * training.steps;
            add_task(std::move(task));
        }
    }
}

std::int64_t Planner::setting_code(const MethodInfo& method, const nlohmann::json& setting) {
    const std::string parameters = canonical_json(setting);
    const std::int64_t code = settings_.code(method.name + " " + parameters);
    if (code == static_cast<std::int64_t>(plan_.axes.setting_method.size())) {
        plan_.axes.setting_method.push_back(methods_.code(method.name));
        plan_.axes.setting_parameters.push_back(parameters);
        for (const auto& [key, value] : setting.items()) {
            if (!value.is_number()) continue;
            auto& column = plan_.axes.setting_numbers[key];
            column.resize(static_cast<std::size_t>(code), kNan);
            column.push_back(value.get<double>());
        }
    }
    return code;
}

void Planner::write_row(const Id& id, std::int64_t seed, const std::string& pair, const MethodInfo& method,
                        const nlohmann::json& setting, const std::string& target, const LayerSpec& layer,
                        const std::vector<ModelNode>& members, const std::vector<double>& weights) {
    experiments_->begin(id);
    experiments_->label("seed", static_cast<double>(seed));
    experiments_->label("pair", static_cast<double>(pairs_.code(pair)));
    experiments_->label("method", static_cast<double>(methods_.code(method.name)));
    experiments_->label("setting", static_cast<double>(setting_code(method, setting)));
    experiments_->label("target", static_cast<double>(targets_.code(target)));
    experiments_->label("layer", static_cast<double>(layers_.code(layer.name)));
    experiments_->label("layer_first", static_cast<double>(layer.first));
    experiments_->label("layer_last", static_cast<double>(layer.last));
    std::vector<double> codes, degrees;
    for (const auto& member : members) {
        codes.push_back(static_cast<double>(member.model));
        degrees.push_back(static_cast<double>(member.degree));
    }
    experiments_->labels("model", codes, -1);
    experiments_->labels("degree", degrees, -1);
    experiments_->labels("weight", weights, kNan);
}

void Planner::add_references() {
    // A model alone: its id depends on the model's content only, so that a specialist at degree 0 and the base are one
    // computation, whatever the seed.
    const LayerSpec none{"none", -1, -1, false};
    const MethodInfo& specialist_method = *find_method("specialist");
    const MethodInfo& base_method = *find_method("base");
    const auto add = [&](const std::string& pair, const MethodInfo& method, const PlannedMember& member) {
        for (const std::int64_t seed : config_.seeds) {
            const ModelNode model = node(member, seed);
            Task task;
            task.kind = TaskKind::merge;
            task.label = "evaluate " + member.name + " at degree " + std::to_string(member.degree) + ", seed " + std::to_string(seed);
            nlohmann::json items = nlohmann::json::array();
            for (const auto& target : config_.grid->targets) {
                const Id id = identity_.result("row", kRowVersion, {{"model", model.id}, {"target", identity_.target(target)}});
                write_row(id, seed, pair, method, nlohmann::json::object(), target, none, {model}, {1.0});
                if (!planned_results_.insert(id).second) continue;
                items.push_back({{"id", id}, {"setting", nlohmann::json::object()}, {"target", target_payload(target)}});
                task.results.push_back({"experiments", id});
                task.work += forward_flops(facts_.geometry, facts_.geometry.context) * 2 *
                             static_cast<double>(std::max<std::int64_t>(1, config_.evaluate.windows)) * facts_.geometry.context;
            }
            if (items.empty()) continue;
            task.payload = {{"method", "specialist"}, {"members", {model.reference}}, {"host", model.reference},
                            {"blocks", nullptr}, {"seed", seed}, {"items", items}};
            add_need(task, model.asset);
            add_task(std::move(task));
        }
    };
    add(pair_name({"base"}), base_method, {"base", 0});
    for (const auto& members : member_lists_) {
        for (const auto& member : members) {
            // Once per specialist, however many pairs it is in.
            if (pairs_.code(member) < static_cast<std::int64_t>(pair_members_.size())) continue;
            const std::string pair = pair_name({member});
            for (const std::int64_t degree : degrees_of_.at(member)) add(pair, specialist_method, {member, degree});
        }
    }
}

std::vector<std::string> Planner::training_corpora(const nlohmann::json& setting, const std::vector<PlannedMember>& members,
                                                   const std::string& target, const std::string& where) {
    const std::string train_on = setting.value("train_on", "target");
    if (train_on == "target") return {target};
    if (train_on != "specialists") return {train_on};
    std::vector<std::string> corpora;
    for (const auto& member : members) {
        const SpecialistConfig* specialist = config_.find_specialist(parse_member(member.name).specialist);
        if (specialist->corpus.empty()) {
            problems_.push_back(where + ": train_on = \"specialists\": specialist \"" + member.name +
                                "\" is loaded from checkpoints and has no training text: name a corpus in train_on");
        } else {
            corpora.push_back(specialist->corpus);  // one a member, in their order: each member's own text
        }
    }
    return corpora;
}

ModelNode Planner::host_node(const std::vector<PlannedMember>& members, std::int64_t seed) {
    const std::string& host = config_.grid->host;
    if (host == "first") return node(members[0], seed);
    if (host == "base") return node({"base", 0}, seed);
    for (const auto& member : members) {
        if (member.name == host) return node(member, seed);
    }
    return node({host, members[0].degree}, seed);
}

Id Planner::features_of(const ModelNode& model, const std::string& probe) {
    const Id asset = identity_.features(model.id, probe);
    if (!represent_tasks_.count(asset)) {
        Task task;
        task.kind = TaskKind::represent;
        task.label = "represent " + models_.names()[static_cast<std::size_t>(model.model)] + " at degree " + std::to_string(model.degree);
        task.payload = {{"model", model.reference}, {"probe", probe_payload(probe)}, {"features", asset}};
        add_need(task, model.asset);
        task.produces = {asset};
        task.work = forward_flops(facts_.geometry, facts_.geometry.context) *
                    static_cast<double>(probe_windows(probe)) * facts_.geometry.context;
        plan_.features_bytes += static_cast<double>(probe_rows(probe)) * facts_.geometry.width * 4.0 *
                                static_cast<double>(facts_.geometry.blocks) * static_cast<double>(config_.similarity.sites.size());
        represent_tasks_.emplace(asset, std::move(task));
        represent_order_.push_back(asset);
    }
    return asset;
}

void Planner::add_merge_rows(const std::vector<PlannedMember>& members, const MethodConfig& method_config,
                             const MethodInfo& method, const LayerSpec& layer, std::int64_t seed) {
    std::vector<std::string> names;
    std::vector<ModelNode> nodes;
    nlohmann::json references = nlohmann::json::array(), ids = nlohmann::json::array();
    std::string degrees;
    for (const auto& member : members) {
        names.push_back(member.name);
        nodes.push_back(node(member, seed));
        references.push_back(nodes.back().reference);
        ids.push_back(nodes.back().id);
        if (!degrees.empty()) degrees += '/';
        degrees += std::to_string(member.degree);
    }
    const bool alike = std::all_of(members.begin(), members.end(), [&](const auto& member) { return member.degree == members.front().degree; });
    if (alike) degrees = std::to_string(members.front().degree);
    const std::string pair = pair_name(names);
    const bool placed = method.family != Family::output && method.family != Family::reference;
    const bool whole = method.family == Family::parameter && layer.whole_model;
    const bool has_host = placed && !whole;
    const ModelNode host = has_host ? host_node(members, seed) : nodes[0];
    const bool shows_stream = placed && config_.similarity.present && config_.similarity.after_merge;

    nlohmann::json after_merge;
    std::vector<Id> after_merge_needs;
    if (shows_stream) {
        const std::string& probe = config_.similarity.probes.front();
        nlohmann::json member_features = nlohmann::json::array();
        for (const auto& member : nodes) {
            after_merge_needs.push_back(features_of(member, probe));
            member_features.push_back(after_merge_needs.back());
        }
        after_merge_needs.push_back(features_of(node({"base", 0}, seed), probe));
        after_merge = {{"probe", probe_payload(probe)}, {"members", member_features}, {"base", after_merge_needs.back()}};
    }

    Task task;
    task.kind = TaskKind::merge;
    nlohmann::json items = nlohmann::json::array();
    const auto flush = [&] {
        if (items.empty()) return;
        task.label = method.name + " of " + pair + " at degree " + degrees + ", layer " + layer.name + ", seed " + std::to_string(seed);
        task.payload = {{"method", method.name}, {"members", references}, {"host", host.reference}, {"seed", seed}, {"items", items}};
        if (placed) task.payload["blocks"] = {{"first", layer.first}, {"last", layer.last}, {"whole_model", whole}};
        else task.payload["blocks"] = nullptr;
        if (shows_stream) {
            task.payload["after_merge"] = after_merge;
            for (const auto& asset : after_merge_needs) add_need(task, asset);
        }
        for (const auto& member : nodes) add_need(task, member.asset);
        add_need(task, host.asset);
        if (identity_.base_is_made()) add_need(task, identity_.base());
        add_task(std::move(task));
        task = Task{};
        task.kind = TaskKind::merge;
        items = nlohmann::json::array();
    };

    std::unordered_set<std::string> seen;
    for (const auto& setting : method_config.settings) {
        if (!seen.insert(canonical_json(setting)).second) continue;
        std::vector<double> weights(nodes.size(), kNan);
        if (setting.contains("alpha") || setting.contains("weights")) weights = member_weights(setting, nodes.size());
        for (const auto& target : config_.grid->targets) {
            nlohmann::json content{{"method", method.name}, {"method_version", method.version}, {"setting", setting},
                                   {"members", ids}, {"target", identity_.target(target)}};
            if (placed) content["blocks"] = {layer.first, layer.last, whole};
            if (has_host) content["host"] = host.id;
            if (method.needs_base || method.family == Family::routing || method.family == Family::output) content["base"] = identity_.base();
            if (method.uses_seed(setting)) content["seed"] = seed;
            nlohmann::json text = nlohmann::json::array();
            if (method.uses_text(setting)) {
                for (const auto& corpus : training_corpora(setting, members, target, method_config.where)) {
                    text.push_back(facts_.corpora.at(corpus).digests[0]);
                    check_text(corpus, 0, identity_.context_or_model(config_.evaluate.context), method_config.where, method.name.c_str());
                }
                content["text"] = text;
                content["context"] = identity_.context_or_model(config_.evaluate.context);
            }
            if (shows_stream) content["after_merge"] = {identity_.probe(config_.similarity.probes.front()), config_.similarity.sites.front()};
            const Id id = identity_.result("row", kRowVersion, content);
            write_row(id, seed, pair, method, setting, target, layer, nodes, weights);
            if (!planned_results_.insert(id).second) continue;
            task.results.push_back({"experiments", id});
            if (method.family == Family::routing) {
                task.results.push_back({"routing", id});
                routing_->begin(id);
                sizes_.experts = std::max(sizes_.experts, setting.value("span", std::int64_t{1}) *
                                                              (static_cast<std::int64_t>(nodes.size()) + setting.value("include_base", false)));
            }
            items.push_back({{"id", id}, {"setting", setting}, {"target", target_payload(target)}, {"text", text}});
            const double evaluation = forward_flops(facts_.geometry, facts_.geometry.context) * 2 * static_cast<double>(nodes.size()) *
                                      static_cast<double>(std::max<std::int64_t>(1, config_.evaluate.windows)) * facts_.geometry.context;
            const double steps = static_cast<double>(setting.value("steps", std::int64_t{0}) * setting.value("batch", std::int64_t{0}));
            task.work += evaluation + 3 * steps * forward_flops(facts_.geometry, facts_.geometry.context) * facts_.geometry.context;
            // What trains is a task of its own, so that it can stop and continue alone; the rest shares one forward pass.
            if (method.uses_text(setting)) flush();
        }
    }
    flush();
}

void Planner::add_merges() {
    const GridConfig& grid = *config_.grid;
    const std::vector<LayerSpec> none{{"none", -1, -1, false}};
    for (const auto& combination : combinations_) {
        for (const auto& method_config : grid.methods) {
            const MethodInfo& method = *find_method(method_config.name);
            if (method.family == Family::reference && (method.name == "specialist" || method.name == "base")) continue;
            const bool placed = method.family != Family::output && method.family != Family::reference;
            for (const auto& layer : placed ? layer_specs_ : none) {
                for (const std::int64_t seed : config_.seeds) add_merge_rows(combination, method_config, method, layer, seed);
            }
        }
    }
}

/// The metric's name on its axis: with the parameters that are not the defaults, so that two settings of it differ.
std::string metric_name(const MetricConfig& metric, const MetricInfo& info) {
    const nlohmann::json defaults = complete_setting(info.parameters, nlohmann::json::object());
    nlohmann::json given = nlohmann::json::object();
    for (const auto& [key, value] : metric.setting.items()) {
        if (value != defaults.at(key)) given[key] = value;
    }
    return given.empty() ? metric.name : metric.name + " " + canonical_json(given);
}

std::int64_t Planner::probe_windows(const std::string& corpus) const {
    const std::int64_t asked = config_.similarity.windows;
    const std::int64_t available = (static_cast<std::int64_t>(facts_.corpora.at(corpus).tokens[2]) - 1) / identity_.context_or_model(config_.similarity.context);
    return asked > 0 ? std::min(asked, available) : available;
}

std::int64_t Planner::probe_rows(const std::string& corpus) const {
    const SimilarityConfig& similarity = config_.similarity;
    return probe_windows(corpus) * (similarity.pooling == "token" ? identity_.context_or_model(similarity.context) : 1);
}

// All comparisons of one metric and site on one probe make a matrix of representations by representations. A task is a
// tile of it: what preparing a representation costs is shared, and tiles spread over the ranks. How the matrix is cut
// changes neither ids nor bits.
void Planner::add_comparisons() {
    const SimilarityConfig& similarity = config_.similarity;
    if (!similarity.present) return;
    struct Side {
        PlannedMember member;
        std::int64_t seed;
    };
    struct Tile {
        Task task;
        std::map<Id, std::size_t> rows, columns;  // representation -> place in the payload's lists
    };
    std::set<std::vector<std::string>> written;  // labels, so that pairs sharing a member write each comparison once
    std::map<Id, std::int64_t> number;           // of a representation, in order of first use on its probe
    std::map<std::string, std::int64_t> numbered;
    std::map<std::string, Tile> tiles;
    std::vector<std::string> order;

    const auto add_item = [&](const Id& id, const std::string& probe, const std::string& site, const MetricConfig& metric,
                              const Id& a, const Id& b) {
        const MetricInfo& info = *find_metric(metric.name);
        const std::int64_t blocks = facts_.geometry.blocks;
        const std::int64_t edge = std::max<std::int64_t>(1, info.tile_edge / blocks);
        for (const auto& representation : {a, b}) {
            if (number.emplace(representation, numbered[probe]).second) ++numbered[probe];
        }
        const std::int64_t row = number.at(a) / edge, column = number.at(b) / edge;
        const std::string name = metric_name(metric, info);
        const std::string key = nlohmann::json{probe, site, name, row, column}.dump();
        const auto [place, fresh] = tiles.try_emplace(key);
        Tile& tile = place->second;
        Task& task = tile.task;
        if (fresh) {
            order.push_back(key);
            task.kind = TaskKind::compare;
            task.label = "compare by " + name + " on " + probe + ", " + site + ", tile " + std::to_string(row) + ", " +
                         std::to_string(column);
            task.payload = {{"probe", probe_payload(probe)}, {"site", site}, {"metric", metric.name}, {"setting", metric.setting},
                            {"cross", similarity.cross}, {"permutations", similarity.permutations}, {"a", nlohmann::json::array()},
                            {"b", nlohmann::json::array()}, {"items", nlohmann::json::array()}};
        }
        const double n = static_cast<double>(probe_rows(probe));
        const double width = static_cast<double>(facts_.geometry.width);
        const auto listed = [&](std::map<Id, std::size_t>& places, const char* list, const Id& representation) {
            const auto [found, is_new] = places.emplace(representation, places.size());
            if (is_new) {
                task.payload[list].push_back(representation);
                add_need(task, representation);
                task.work += static_cast<double>(blocks) * n * width * std::min(n, width);
            }
            return found->second;
        };
        task.payload["items"].push_back({{"id", id}, {"a", listed(tile.rows, "a", a)}, {"b", listed(tile.columns, "b", b)}});
        task.results.push_back({"similarity", id});
        const double entries = static_cast<double>(similarity.cross ? blocks * blocks : blocks);
        const double product = info.tile_edge > 1 && n <= std::min(8 * width, 16384.0) ? n * n : n * width * width;
        task.work += entries * product * (similarity.permutations + 2);
    };

    const auto compare = [&](const Side& a, const Side& b) {
        const ModelNode first = node(a.member, a.seed), second = node(b.member, b.seed);
        const std::vector<std::string> labels{a.member.name, std::to_string(a.member.degree), std::to_string(a.seed),
                                              b.member.name, std::to_string(b.member.degree), std::to_string(b.seed)};
        if (!written.insert(labels).second) return;
        for (const auto& probe : similarity.probes) {
            const Id first_features = features_of(first, probe), second_features = features_of(second, probe);
            for (const auto& site : similarity.sites) {
                for (const auto& metric : similarity.metrics) {
                    const MetricInfo& info = *find_metric(metric.name);
                    const Id id = identity_.result("comparison", kComparisonVersion,
                                                   {{"metric", metric.name}, {"metric_version", info.version}, {"setting", metric.setting},
                                                    {"a", first.id}, {"b", second.id}, {"probe", identity_.probe(probe)}, {"site", site},
                                                    {"cross", similarity.cross}, {"permutations", similarity.permutations}});
                    similarity_->begin(id);
                    similarity_->label("seed", static_cast<double>(a.seed));
                    similarity_->label("seed_b", static_cast<double>(b.seed));
                    similarity_->label("metric", static_cast<double>(metrics_.code(metric_name(metric, info))));
                    similarity_->label("probe", static_cast<double>(corpora_.code(probe)));
                    similarity_->label("site", static_cast<double>(sites_.code(site)));
                    similarity_->label("model_a", static_cast<double>(first.model));
                    similarity_->label("degree_a", static_cast<double>(first.degree));
                    similarity_->label("model_b", static_cast<double>(second.model));
                    similarity_->label("degree_b", static_cast<double>(second.degree));
                    if (planned_results_.insert(id).second) add_item(id, probe, site, metric, first_features, second_features);
                }
            }
        }
    };
    const auto wants = [&](const char* word) {
        return std::find(similarity.against.begin(), similarity.against.end(), word) != similarity.against.end();
    };
    for (const std::int64_t seed : config_.seeds) {
        if (wants("pair")) {
            for (const auto& combination : combinations_) {
                for (std::size_t i = 0; i < combination.size(); ++i) {
                    for (std::size_t j = i + 1; j < combination.size(); ++j) compare({combination[i], seed}, {combination[j], seed});
                }
            }
        }
        for (const auto& [member, degrees] : degrees_of_) {
            for (const std::int64_t degree : degrees) {
                if (wants("base") && degree > 0) compare({{member, degree}, seed}, {{"base", 0}, seed});
                if (wants("self")) {
                    for (const std::int64_t later : degrees) {
                        if (later > degree) compare({{member, degree}, seed}, {{member, later}, seed});
                    }
                }
                if (wants("seeds") && degree > 0 && config_.find_specialist(parse_member(member).specialist)->checkpoints.empty()) {
                    for (const std::int64_t other : config_.seeds) {
                        if (other > seed) compare({{member, degree}, seed}, {{member, degree}, other});
                    }
                }
            }
        }
    }
    for (const auto& key : order) add_task(std::move(tiles.at(key).task));
}

void Planner::add_represent_tasks() {
    // Producers come before consumers: representations after the trajectories, before everything that needs them.
    std::vector<Task> ordered;
    std::vector<Task> rest;
    for (auto& task : tasks_) (task.kind == TaskKind::specialise ? ordered : rest).push_back(std::move(task));
    tasks_ = std::move(ordered);
    for (const auto& asset : represent_order_) add_task(std::move(represent_tasks_.at(asset)));
    for (auto& task : rest) tasks_.push_back(std::move(task));
}

void Planner::finish() {
    TableRows experiments = experiments_->take(), similarity = similarity_->take(), training = training_->take(), routing = routing_->take();
    routing.spec = routing_table(sizes_);  // the number of experts is known only now
    for (auto* table : {&experiments, &similarity, &training, &routing}) plan_.tables.push_back(std::move(*table));
    auto& names = plan_.axes.names;
    names["model"] = models_.names();
    names["corpus"] = corpora_.names();
    names["pair"] = pairs_.names();
    names["layer"] = layers_.names();
    names["method"] = methods_.names();
    names["target"] = targets_.names();
    names["metric"] = metrics_.names();
    names["site"] = sites_.names();
    names["setting"] = settings_.names();
    plan_.axes.members["pair"] = pair_members_;
    for (auto& [key, column] : plan_.axes.setting_numbers) column.resize(plan_.axes.setting_method.size(), kNan);

    Hasher hasher;
    for (const auto& table : plan_.tables) {
        hasher.add(table.spec.name);
        for (const auto& [name, size] : table.spec.dimensions) hasher.add(name + "=" + std::to_string(size) + ";");
        hasher.add(std::as_bytes(std::span(table.ids)));
        for (const auto& [column, values] : table.labels) {
            hasher.add(column);
            hasher.add(std::as_bytes(std::span(values)));
        }
    }
    for (const auto& [axis, list] : names) {
        hasher.add(axis);
        for (const auto& name : list) hasher.add(name + "\n");
    }
    plan_.digest = hasher.digest();
    plan_.tasks = std::move(tasks_);
    plan_.base = identity_.base();
}

Plan Planner::make() {
    check_contexts_and_text();
    sizes_.members = 1;
    sizes_.blocks = facts_.geometry.blocks;
    if (config_.model.pretrain) sizes_.steps = std::max(sizes_.steps, config_.model.pretrain->steps);
    for (const auto& specialist : config_.specialists) {
        if (specialist.checkpoints.empty()) sizes_.steps = std::max(sizes_.steps, specialist.training.steps);
    }
    if (config_.grid) {
        try {
            layer_specs_ = resolve_layers(*config_.grid, facts_.geometry.blocks);
        } catch (const InputError& error) {
            problems_.insert(problems_.end(), error.problems().begin(), error.problems().end());
        }
        collect_degrees();
        for (const auto& method_config : config_.grid->methods) {
            for (const auto& setting : method_config.settings) {
                if (!setting.contains("span")) continue;
                const std::int64_t span = setting.at("span");
                if (span > facts_.geometry.blocks) {
                    problems_.push_back(method_config.where + ".span = " + std::to_string(span) + ": expected at most the number of blocks, " +
                                        std::to_string(facts_.geometry.blocks));
                }
                for (const auto& members : member_lists_) {
                    const std::int64_t experts = span * (static_cast<std::int64_t>(members.size()) + setting.value("include_base", false));
                    if (setting.contains("top_k") && setting.at("top_k").is_number() && setting.at("top_k").get<std::int64_t>() > experts) {
                        problems_.push_back(method_config.where + ".top_k = " + setting.at("top_k").dump() + ": expected at most the number of experts, " +
                                            std::to_string(experts) + " for " + std::to_string(members.size()) + " members and span " + std::to_string(span));
                    }
                }
            }
        }
    }
    if (!problems_.empty()) throw InputError(problems_);

    experiments_.emplace(experiments_table(sizes_));
    similarity_.emplace(similarity_table(sizes_));
    training_.emplace(training_table(sizes_));
    routing_.emplace(routing_table(sizes_));
    model_code("base");
    for (const auto& specialist : config_.specialists) model_code(specialist.name);
    for (const auto& corpus : config_.corpora) corpora_.code(corpus.name);
    add_base_task();
    if (config_.grid) {
        add_trajectories();
        add_references();
        add_merges();
        add_comparisons();
        add_represent_tasks();
    }
    if (!problems_.empty()) {
        std::vector<std::string> distinct;
        for (const auto& problem : problems_) {
            if (std::find(distinct.begin(), distinct.end(), problem) == distinct.end()) distinct.push_back(problem);
        }
        throw InputError(distinct);
    }
    finish();
    return std::move(plan_);
}

}  // namespace

const TableRows& Plan::table(std::string_view name) const {
    for (const auto& table : tables) {
        if (table.spec.name == name) return table;
    }
    throw std::out_of_range("plan has no table " + std::string(name));
}

Plan make_plan(const Config& config, const InputFacts& facts) { return Planner(config, facts).make(); }

std::vector<Task> pending_tasks(const Plan& plan, const std::function<bool(const ResultKey&)>& done,
                                const std::function<bool(const Id& asset)>& exists) {
    std::unordered_set<Id> wanted;
    std::vector<Task> pending;
    for (auto task = plan.tasks.rbegin(); task != plan.tasks.rend(); ++task) {
        Task copy = *task;
        std::erase_if(copy.results, done);
        const bool makes_wanted = std::any_of(copy.produces.begin(), copy.produces.end(), [&](const Id& asset) { return wanted.count(asset) > 0; });
        if (copy.results.empty() && !makes_wanted) continue;
        for (const auto& asset : copy.needs) {
            if (!exists(asset)) wanted.insert(asset);
        }
        pending.push_back(std::move(copy));
    }
    std::reverse(pending.begin(), pending.end());
    return pending;
}

}  // namespace cmsweep
