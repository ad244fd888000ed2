#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

namespace cmsweep {

/// Hyperparameters of one training trajectory: fine-tuning, pretraining, or the training of routers.
struct TrainingConfig {
    std::int64_t steps = 400;
    std::int64_t batch = 16;
    std::int64_t context = 0;  ///< tokens a window; 0: the model's
    double learning_rate = 8e-4;
    double beta1 = 0.9, beta2 = 0.99;
    double weight_decay = 0.1;        ///< decoupled (AdamW), on every trained tensor, biases included, as in the paper's code
    double gradient_clip = 1.0;       ///< global L2 norm; 0: none
    std::string schedule = "cosine";  ///< or "constant"
    double min_learning_rate_ratio = 0.1;  ///< the cosine ends at this share of learning_rate
    std::int64_t warmup = 0;          ///< steps, linear
    std::string trainable = "mlp";    ///< or "all"
    std::string mix_corpus;           ///< empty: none
    double mix_fraction = 0;          ///< share of the windows of each batch that come from mix_corpus
    double l2sp = 0;                  ///< coefficient of ||theta - theta_0||^2 / 2 over the trained tensors
    bool operator==(const TrainingConfig&) const = default;

    /// Learning rate of step 0 … steps-1: linear warm-up, then constant or cosine from learning_rate to its minimum at the last step.
    double rate(std::int64_t step) const;
};

/// All fields that determine a trajectory's numbers, for ids and messages; a constant schedule leaves `steps` out of
/// ids (`for_id`), and mix_corpus is left out of ids since its content enters by its own id.
nlohmann::json training_to_json(const TrainingConfig& training, bool for_id);
TrainingConfig training_from_json(const nlohmann::json& json);

}  // namespace cmsweep
