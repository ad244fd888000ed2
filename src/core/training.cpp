#include "cmsweep/core/training.hpp"

#include <cmath>
#include <numbers>

namespace cmsweep {

double TrainingConfig::rate(std::int64_t step) const {
    if (step < warmup) return learning_rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
    if (schedule == "constant" || steps - warmup <= 1) return learning_rate;
    const double progress = static_cast<double>(step - warmup) / static_cast<double>(steps - warmup - 1);
    const double share = 0.5 * (1.0 + std::cos(std::numbers::pi * std::min(1.0, progress)));
    return learning_rate * (min_learning_rate_ratio + (1.0 - min_learning_rate_ratio) * share);
}

nlohmann::json training_to_json(const TrainingConfig& training, bool for_id) {
    nlohmann::json json{{"batch", training.batch},
                        {"context", training.context},
                        {"learning_rate", training.learning_rate},
                        {"betas", {training.beta1, training.beta2}},
                        {"weight_decay", training.weight_decay},
                        {"gradient_clip", training.gradient_clip},
                        {"schedule", training.schedule},
                        {"warmup", training.warmup},
                        {"trainable", training.trainable},
                        {"mix_fraction", training.mix_fraction},
                        {"l2sp", training.l2sp}};
    if (!for_id || training.schedule != "constant") {
        json["steps"] = training.steps;
        json["min_learning_rate_ratio"] = training.min_learning_rate_ratio;
    }
    if (!for_id) json["mix_corpus"] = training.mix_corpus;
    return json;
}

TrainingConfig training_from_json(const nlohmann::json& json) {
    TrainingConfig training;
    training.steps = json.at("steps");
    training.batch = json.at("batch");
    training.context = json.at("context");
    training.learning_rate = json.at("learning_rate");
    training.beta1 = json.at("betas").at(0);
    training.beta2 = json.at("betas").at(1);
    training.weight_decay = json.at("weight_decay");
    training.gradient_clip = json.at("gradient_clip");
    training.schedule = json.at("schedule");
    training.min_learning_rate_ratio = json.at("min_learning_rate_ratio");
    training.warmup = json.at("warmup");
    training.trainable = json.at("trainable");
    training.mix_corpus = json.at("mix_corpus");
    training.mix_fraction = json.at("mix_fraction");
    training.l2sp = json.at("l2sp");
    return training;
}

}  // namespace cmsweep
