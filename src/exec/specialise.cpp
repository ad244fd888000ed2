#include "cmsweep/base/error.hpp"
#include "executor.hpp"

namespace cmsweep {

// One trajectory: fine-tuning from the base with a checkpoint at every degree, or pretraining of the base itself.
void Executor::specialise(const Task& task, TaskContext& context) {
    const auto& payload = task.payload;
    const TrainingConfig training = training_from_json(payload.at("training"));
    const bool pretrain = payload.at("mode") == "pretrain";
    const auto seed = payload.at("seed").get<std::uint64_t>();
    const auto twin = payload.at("twin").get<int>();
    const Id identity = payload.at(pretrain ? "base" : "trajectory");

    std::vector<WindowSampler::Source> sources;
    for (const auto& text : payload.at("text")) sources.push_back({&split(text.at("digest")), text.at("share")});
    WindowSampler sampler(std::move(sources), training.context, training.batch, seed, pretrain ? "pretrain" : "finetune",
                          twin == 0 ? "" : std::to_string(twin));

    const Parameters start = pretrain ? random_parameters(payload.at("geometry").get<Geometry>(), seed, device_) : *base();
    const auto degrees = payload.at("degrees").get<std::vector<std::int64_t>>();
    const std::set<std::string> changed = trainable_names(start.geometry(), training.trainable);

    ResumePoint resume;
    resume.file = job_.partial_file(identity);
    resume.identity = identity.hex();

    Stopwatch watch;
    const auto checkpoint = [&](std::int64_t degree, const Parameters& parameters) {
        if (pretrain) {
            save_checkpoint(job_.base_checkpoint(), parameters, job_.tokenizer_folder);
            context.publish(identity);
            return;
        }
        const Id model = hash_json({{"trajectory", identity}, {"degree", degree}});
        save_delta(job_.checkpoint_file(model), parameters, changed, job_.base);
        context.publish(model);
    };
    const FineTuneResult result = fine_tune(start, training, sampler, degrees, job_.precision, checkpoint,
                                            [&] { context.safe_point(); }, resume);

    if (task.results.empty()) return;  // only the checkpoints were missing
    Record record;
    record.table = "training";
    record.id = task.results.front().id;
    record.seconds = watch.lap();
    const auto steps = static_cast<std::int64_t>(result.curve.loss.size());
    record.set("loss", {steps}, result.curve.loss);
    record.set("learning_rate", {steps}, result.curve.learning_rate);
    context.result(std::move(record));
}

}  // namespace cmsweep
