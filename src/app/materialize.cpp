// `cmsweep materialize`: one row's network as a Hugging Face checkpoint.
#include <algorithm>
#include <iostream>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/exec/executor.hpp"
#include "cmsweep/exec/inputs.hpp"
#include "cmsweep/exec/materialize.hpp"
#include "cmsweep/plan/config.hpp"
#include "cmsweep/plan/plan.hpp"
#include "cmsweep/store/store.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "results.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kExamples = 5;

/// "average {...} of code+math at degree 10+10, layer all, seed 0, target record"
std::string described(const ExperimentRow& row) {
    std::string text = row.method;
    if (row.setting != "{}") text.append(" ").append(row.setting);
    text.append(" of ").append(row.pair).append(" at degree ");
    for (std::size_t i = 0; i < row.degrees.size(); ++i) text.append(i > 0 ? "+" : "").append(std::to_string(row.degrees[i]));
    return text.append(", layer ").append(row.layer).append(", seed ").append(std::to_string(row.seed)).append(", target ").append(row.target);
}

bool is_one_network(const ExperimentRow& row) {
    const MethodInfo* method = find_method(row.method);
    return method && (method->family == Family::parameter || method->name == "specialist" || method->name == "base");
}

/// Some ids that would do, one a line: rows of one network that are done, each method once before any twice.
std::string examples(const std::vector<ExperimentRow>& rows) {
    std::vector<const ExperimentRow*> shown;
    for (const auto& row : rows) {
        const bool known = std::any_of(shown.begin(), shown.end(), [&](const auto* other) { return other->method == row.method; });
        if (row.status == 1 && row.in_plan && is_one_network(row) && !known && shown.size() < kExamples) shown.push_back(&row);
    }
    std::string text;
    for (const auto* row : shown) text += "\n  " + row->id + "  " + described(*row);
    return text.empty() ? "\n  (this store holds none yet)" : text;
}

/// The row whose id is `text` or, alone, begins with it.
const ExperimentRow& find_row(const std::vector<ExperimentRow>& rows, const std::filesystem::path& store, const std::string& text) {
    std::vector<const ExperimentRow*> found;
    for (const auto& row : rows) {
        const bool another = found.empty() || found.front()->id != row.id;  // rows of several seeds may share one result
        if (!text.empty() && row.id.starts_with(text) && another) found.push_back(&row);
    }
    if (found.size() == 1) return *found.front();
    throw InputError(store.string() + ": " + (found.empty() ? "no experiment has the id " : "several experiments' ids begin with ") + text +
                     ": expected the id (or its beginning) of a merge in parameter space, a specialist or the base, as `cmsweep export` lists them, for example" +
                     examples(rows));
}

/// The sweep's config: the one given, or the store's own copy, read as if it lay where it lay at the run.
Config config_of(const StoreReader& reader, const MaterializeOptions& options) {
    if (!options.config.empty()) return read_config(options.config);
    const std::string file = reader.environment("config_file");
    if (file.empty())
        throw InputError(options.store.string() + ": does not say where its config lay, so that the paths in it lead nowhere: give --config CONFIG.toml");
    return parse_config(reader.config_text(), file);
}

/// The checkpoints that a merge is made from must still be there.
void check_models(const Job& job, const nlohmann::json& payload, const ExperimentRow& row) {
    auto models = payload.at("members");
    models.push_back(payload.at("host"));
    for (const auto& model : models) {
        const bool is_base = model.at("kind") == "base";
        if (model.at("kind") == "loaded" || job.exists(is_base ? job.base : model.at("id").get<Id>())) continue;
        const auto place = is_base ? job.base_checkpoint() : job.checkpoint_file(model.at("id").get<Id>());
        throw InputError(place.string() + ": is not there, and " + row.id + " is made from it: expected the checkpoint of a sweep with run.keep_checkpoints = true");
    }
}

}  // namespace

int materialize_command(const MaterializeOptions& options) {
    namespace fs = std::filesystem;
    if (fs::exists(fs::symlink_status(options.folder)))
        throw InputError(options.folder.string() + ": is there already: expected a new folder; remove it or choose another name");
    const StoreReader reader(options.store);
    const auto rows = read_experiments(options.store);
    const ExperimentRow& row = find_row(rows, options.store, options.id);
    if (!is_one_network(row)) {
        const MethodInfo* method = find_method(row.method);
        throw InputError(row.id + " is " + described(row) + ": " + row.method + (method ? " (family " + std::string(family_name(method->family)) + ")" : "") +
                         " is not one network that a checkpoint can hold: expected a merge in parameter space, a specialist or the base, for example" + examples(rows));
    }
    if (row.status == 2) throw InputError(row.id + " is " + described(row) + ", which failed: " + row.message + ": expected a row that is done");

    const Config config = config_of(reader, options);
    // Ids depend on the kind of device that the sweep ran on.
    const std::string recorded = reader.environment("device");
    Inputs inputs = read_inputs(config, recorded.empty() ? resolve_device_kind(config.run.device) : recorded);
    const Plan plan = make_plan(config, inputs.facts);
    const auto task = std::find_if(plan.tasks.begin(), plan.tasks.end(), [&](const Task& one) {
        return std::any_of(one.results.begin(), one.results.end(), [&](const ResultKey& key) { return key.table == "experiments" && key.id.hex() == row.id; });
    });
    if (task == plan.tasks.end()) {
        throw InputError(row.id + " is " + described(row) + ", which " + config.file.string() +
                         " does not ask for as it and the files that it names are now: give the config that computed it, --config CONFIG.toml");
    }
    Job& job = inputs.job;
    job.base = plan.base;
    const auto side = fs::path(options.store).replace_extension(".d");  // beside the store, wherever both have moved
    if (fs::exists(side)) job.side_folder = fs::absolute(side).string();
    check_models(job, task->payload, row);
    bool reads_text = false;
    for (const auto& item : task->payload.at("items")) reads_text = reads_text || (item.contains("text") && !item.at("text").empty());
    if (reads_text) {
        inputs.to_remember.clear();  // it would go where the config puts the output, which may be gone
        write_tokens(inputs);
    } else if (job.device != "cpu") {
        job.device = "cpu";  // parameters are merged there anyway
    }
    apply_threads(config.run.threads_per_rank);
    materialize(job, *task, Id::parse(row.id), options.folder, options.shard_bytes);
    if (options.verbosity > 0) std::cerr << options.folder.string() << ": " << described(row) << '\n';
    return kDone;
}

}  // namespace cmsweep
