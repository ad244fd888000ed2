#include <cmath>
#include <limits>
#include <optional>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/core/similarity/in_tiles.hpp"
#include "cmsweep/model/combination.hpp"
#include "executor.hpp"

namespace cmsweep {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Networks that are held at once while they are evaluated side by side, in scalars (1 GiB).
constexpr std::int64_t kScalarsAtOnce = std::int64_t{1} << 28;

/// Items of one setting: they share the combination and differ in the target.
struct SettingGroup {
    nlohmann::json setting;
    std::vector<const nlohmann::json*> items;
};

std::vector<double> as_vector(const std::array<double, 64>& values) { return {values.begin(), values.end()}; }

}  // namespace

CombinationInput Executor::combination_input(const nlohmann::json& payload) {
    CombinationInput input;
    input.method = find_method(payload.at("method").get<std::string>());
    input.base = base();
    for (const auto& member : payload.at("members")) {
        input.members.push_back(model(member));
        // The trajectory, not the degree: masks along one trajectory are the same.
        input.member_keys.push_back(member.value("trajectory", member.value("id", std::string("base"))));
        input.member_tokens.push_back(member.value("tokens", std::int64_t{0}));
    }
    input.host = model(payload.at("host"));
    input.blocks = {0, job_.geometry.blocks - 1, true};
    if (const auto& blocks = payload.at("blocks"); !blocks.is_null()) {
        input.blocks = {blocks.at("first"), blocks.at("last"), blocks.at("whole_model")};
    }
    input.seed = payload.at("seed");
    input.context = job_.context;
    input.precision = job_.precision;
    return input;
}

void Executor::add_item(CombinationInput& input, const nlohmann::json& item) {
    input.setting = item.at("setting");
    input.training_text.clear();
    if (item.contains("text")) {
        for (const auto& digest : item.at("text")) input.training_text.push_back(&split(digest));
    }
    input.target_text = item.at("target").at("train");
}

// Rows of one pair, layer, method and seed: build each combination, evaluate it on every target.
void Executor::merge(const Task& task, TaskContext& context) {
    const auto& payload = task.payload;
    CombinationInput input = combination_input(payload);
    input.safe_point = [&] { context.safe_point(); };

    std::set<Id> wanted;
    for (const auto& key : task.results) wanted.insert(key.id);
    std::vector<SettingGroup> groups;
    for (const auto& item : payload.at("items")) {
        if (!wanted.count(item.at("id").get<Id>())) continue;
        const bool trained = item.contains("text") && !item.at("text").empty();
        if (trained || groups.empty() || groups.back().setting != item.at("setting")) groups.push_back({item.at("setting"), {}});
        groups.back().items.push_back(&item);
    }

    const bool compares = payload.contains("after_merge") && !payload.at("after_merge").is_null();
    Stopwatch watch;

    const auto fail = [&](const SettingGroup& group, const std::string& message) {
        for (const auto* item : group.items) {
            context.result(numeric_failure("experiments", item->at("id"), message));
            if (input.method->family == Family::routing) context.result(numeric_failure("routing", item->at("id"), message));
        }
    };

    // Similarity of the merged model's own stream to each member and to the base, block by block. Returns why values are
    // missing.
    const auto similarity_after = [&](const Predictor& predictor, Record& record) -> std::string {
        const auto& after = payload.at("after_merge");
        const auto& probe = after.at("probe");
        const std::string site = probe.at("sites").at(0);
        const auto written = write_features(job_.features_file(task.id), predictor, probe_text(probe), {site}, probe.at("pooling"),
                                            device_, job_.precision, input.safe_point);
        if (!written) return "";
        const auto own = std::make_shared<const SafetensorsFile>(written->unnamed());  // gone when nobody uses it
        const ProbeLayout layout = probe_layout(probe);
        const MetricInfo& metric = *find_metric("cka_debiased");
        const nlohmann::json setting = complete_setting(metric.parameters, nlohmann::json::object());
        ComparisonOptions options;
        options.permutations = 0;
        options.interval = false;
        options.safe_point = input.safe_point;
        const Eigen::Index block_count = job_.geometry.blocks;
        const EntryMask same = EntryMask::NullaryExpr(block_count, block_count, [](Eigen::Index i, Eigen::Index j) { return i == j; });
        RecentlyUsed<std::shared_ptr<const PreparedBlock>> blocks_of_own(kPreparedBytes);  // compared with every member and the base
        const BlockSource merged = [&](Eigen::Index block) {
            return blocks_of_own.get(std::to_string(block), [&] {
                auto block_of_own = metric.prepare(load_features(own, site, block), layout, setting, input.safe_point);
                const std::size_t bytes = block_of_own->bytes();
                return std::pair{std::move(block_of_own), bytes};
            });
        };
        std::string missing;
        const auto diagonal = [&](const Id& other, std::vector<double>& out) {
            const BlockSource theirs = [&](Eigen::Index block) { return prepared(metric, setting, other, site, block, layout, input.safe_point); };
            const auto result =
                compare_in_tiles(metric, block_count, merged, block_count, theirs, layout, setting, options, same, kTileBytes);
            for (Eigen::Index i = 0; i < block_count; ++i) out.push_back(result.value(i, i));
            const bool undefined = result.value.diagonal().array().isNaN().any();
            if (undefined && missing.empty()) missing = result.message();
        };
        std::vector<double> members, to_base;
        for (const auto& asset : after.at("members")) diagonal(asset, members);
        diagonal(after.at("base"), to_base);
        record.set("similarity_member", {static_cast<std::int64_t>(after.at("members").size()), block_count}, std::move(members));
        record.set("similarity_base", {block_count}, std::move(to_base));
        return missing;
    };

    const auto deliver = [&](const SettingGroup& group, const Combination& combination,
                             const std::map<std::string, EvaluationResult>& on_test, const std::map<std::string, EvaluationResult>& on_select) {
        Record shared;
        shared.table = "experiments";
        const Cost cost = combination.predictor->cost(job_.context);
        shared.set("parameters_stored", static_cast<double>(cost.stored));
        shared.set("parameters_active", static_cast<double>(cost.active));
        shared.set("parameters_trained", static_cast<double>(cost.trained));
        shared.set("target_tokens", static_cast<double>(cost.target_tokens));
        shared.set("flops_per_token", cost.flops_per_token);
        nlohmann::json notes = combination.notes;
        if (const std::string missing = compares ? similarity_after(*combination.predictor, shared) : ""; !missing.empty()) {
            notes["similarity"] = missing;
        }
        if (!notes.empty()) shared.message = notes.dump();
        const double shared_seconds = watch.lap() / static_cast<double>(group.items.size());
        for (const auto* item : group.items) {
            Record record = shared;
            record.id = item->at("id");
            record.seconds = shared_seconds;
            const std::string target = item->at("target").at("name");
            const EvaluationResult& test = on_test.at(target);
            const EvaluationResult& select = on_select.at(target);
            // First, since a run may stop in it: an item's two results are delivered together, or the next start computes one of them twice.
            std::optional<Record> routing;
            if (input.method->family == Family::routing) {
                fault_point("routing weights");
                const auto& spec = item->at("target");
                const auto weights = routing_weights(*combination.predictor, windows(spec.at("test"), spec.at("context"), spec.at("windows")),
                                                     device_, job_.precision, input.safe_point);
                // Rows are the network's blocks; those outside the chosen ones have no experts.
                const std::int64_t experts = weights.empty() ? 0 : static_cast<std::int64_t>(weights.front().size());
                std::vector<double> table(static_cast<std::size_t>(job_.geometry.blocks * experts), kNan);
                for (std::size_t row = 0; row < weights.size(); ++row) {
                    std::copy(weights[row].begin(), weights[row].end(),
                              table.begin() + (input.blocks.first + static_cast<std::int64_t>(row)) * experts);
                }
                routing.emplace();
                routing->table = "routing";
                routing->id = record.id;
                routing->set("weight", {job_.geometry.blocks, experts}, std::move(table));
            }
            if (!std::isfinite(test.loss) || !std::isfinite(select.loss)) {
                context.result(numeric_failure("experiments", record.id, "the loss is not finite"));
            } else {
                record.set("loss", test.loss);
                record.set("accuracy", test.accuracy);
                record.set("loss_select", select.loss);
                record.set("loss_suffix", test.loss_suffix);
                record.set("tokens", static_cast<double>(test.tokens));
                record.set("block_loss", {64}, as_vector(test.block_loss));
                context.result(record);
            }
            if (routing) context.result(std::move(*routing));
        }
    };

    std::int64_t scalars = 1;
    for (const auto& spec : tensor_specs(job_.geometry)) scalars += spec.elements();
    const std::size_t at_once = input.method->family == Family::parameter
                                    ? static_cast<std::size_t>(std::clamp<std::int64_t>(kScalarsAtOnce / scalars, 1, 16))
                                    : 16;
    for (std::size_t begin = 0; begin < groups.size(); begin += at_once) {
        // Combinations of this chunk; the failed ones drop out.
        std::vector<const SettingGroup*> built;
        std::vector<Combination> combinations;
        for (std::size_t g = begin; g < std::min(groups.size(), begin + at_once); ++g) {
            context.safe_point();
            const auto& first = *groups[g].items.front();
            add_item(input, first);
            input.resume.file = job_.partial_file(first.at("id"));
            input.resume.identity = first.at("id").get<std::string>();
            try {
                combinations.push_back(combine(input));
                built.push_back(&groups[g]);
            } catch (const NumericError& error) {
                fail(groups[g], error.what());
            }
        }
        std::vector<const Predictor*> predictors;
        for (const auto& combination : combinations) predictors.push_back(combination.predictor.get());
        // Every target that some group of this chunk asks for, each evaluated once for all of them.
        std::map<std::string, nlohmann::json> targets;
        for (const auto* group : built) {
            for (const auto* item : group->items) targets.emplace(item->at("target").at("name"), item->at("target"));
        }
        std::vector<std::map<std::string, EvaluationResult>> on_test(predictors.size()), on_select(predictors.size());
        for (const auto& [name, target] : targets) {
            const std::int64_t window_context = target.at("context"), count = target.at("windows");
            const auto test = evaluate(predictors, windows(target.at("test"), window_context, count), device_, job_.precision, input.safe_point);
            const auto select = evaluate(predictors, windows(target.at("select"), window_context, count), device_, job_.precision, input.safe_point);
            for (std::size_t p = 0; p < predictors.size(); ++p) {
                on_test[p][name] = test[p];
                on_select[p][name] = select[p];
            }
        }
        for (std::size_t p = 0; p < predictors.size(); ++p) deliver(*built[p], combinations[p], on_test[p], on_select[p]);
    }
}

}  // namespace cmsweep
