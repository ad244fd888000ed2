#include "executor.hpp"

#include <chrono>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/device.hpp"

namespace cmsweep {
namespace {

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

constexpr int kJackknifeGroups = 32;

}  // namespace

Stopwatch::Stopwatch() : start_(now()) {}

double Stopwatch::lap() {
    const double before = start_;
    start_ = now();
    return start_ - before;
}

Record numeric_failure(const std::string& table, const Id& id, const std::string& message) {
    Record record;
    record.table = table;
    record.id = id;
    record.status = RowStatus::failed;
    record.retryable = false;
    record.message = message;
    return record;
}

Executor::Executor(Job job, int local_rank) : job_(std::move(job)), device_(choose_device(job_.device, local_rank)) {}

void Executor::run(const Task& task, TaskContext& context) {
    context.safe_point();
    switch (task.kind) {
        case TaskKind::specialise: return specialise(task, context);
        case TaskKind::represent: return represent(task, context);
        case TaskKind::compare: return compare(task, context);
        case TaskKind::merge: return merge(task, context);
    }
}

std::shared_ptr<const Parameters> Executor::base() {
    if (!base_) base_ = std::make_shared<const Parameters>(load_parameters(Checkpoint(job_.base_checkpoint()), device_));
    return base_;
}

std::shared_ptr<const Parameters> Executor::model(const nlohmann::json& reference) {
    const std::string kind = reference.at("kind");
    if (kind == "base") return base();
    const Id id = reference.at("id");
    return models_.get(id.hex(), [&] {
        auto parameters = kind == "loaded" ? load_parameters(Checkpoint(reference.at("folder").get<std::string>()), device_)
                                           : load_delta(job_.checkpoint_file(id), *base(), job_.base);
        std::size_t bytes = 0;
        for (const auto& [name, tensor] : parameters.tensors()) {
            if (!tensor.is_same((*base())[name])) bytes += static_cast<std::size_t>(tensor.numel()) * 4;
        }
        return std::pair{std::make_shared<const Parameters>(std::move(parameters)), bytes};
    });
}

const StoredSplit& Executor::split(const Id& digest) {
    const auto found = splits_.find(digest);
    if (found != splits_.end()) return found->second;
    return splits_.emplace(digest, StoredSplit(job_.tokens_folder(), digest)).first->second;
}

EvaluationText Executor::windows(const Id& digest, std::int64_t context, std::int64_t count) {
    const StoredSplit& text = split(digest);
    return {&text, evaluation_starts(digest, text.size(), context, count), context};
}

EvaluationText Executor::probe_text(const nlohmann::json& probe) {
    return windows(probe.at("text").get<Id>(), probe.at("context"), probe.at("windows"));
}

ProbeLayout Executor::probe_layout(const nlohmann::json& probe) {
    const EvaluationText text = probe_text(probe);
    ProbeLayout layout;
    layout.id = hash_json({{"text", probe.at("text")}, {"context", probe.at("context")}, {"windows", probe.at("windows")}});
    layout.windows = static_cast<std::int64_t>(text.starts.size());
    layout.rows_per_window = probe.at("pooling") == "token" ? text.context : 1;
    layout.group = document_groups(*text.split, text.starts, kJackknifeGroups);
    return layout;
}

std::shared_ptr<const SafetensorsFile> Executor::features(const Id& asset) {
    auto& known = features_[asset];
    auto file = known.lock();
    if (!file) known = file = std::make_shared<const SafetensorsFile>(job_.features_file(asset));
    return file;
}

std::shared_ptr<const PreparedBlock> Executor::prepared(const MetricInfo& metric, const nlohmann::json& setting, const Id& asset,
                                                        const std::string& site, std::int64_t block, const ProbeLayout& layout,
                                                        const SafePoint& safe_point) {
    return prepared_.get(metric.name + canonical_json(setting) + site + std::to_string(block) + asset.hex(), [&] {
        auto prepared = metric.prepare(load_features(features(asset), site, block), layout, setting, safe_point);
        const std::size_t bytes = prepared->bytes();
        return std::pair{std::move(prepared), bytes};
    });
}

std::unique_ptr<TaskRunner> make_executor(const Job& job, int local_rank) { return std::make_unique<Executor>(job, local_rank); }

std::string resolve_device_kind(const std::string& wanted) { return choose_device(wanted, 0).is_cuda() ? "cuda" : "cpu"; }

std::string torch_version_text() { return torch_description(); }

void apply_threads(int threads) { set_threads(threads); }

}  // namespace cmsweep
