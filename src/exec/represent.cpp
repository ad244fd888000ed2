#include "executor.hpp"

namespace cmsweep {

// Features of every block of one model on the probe, once, for all comparisons.
void Executor::represent(const Task& task, TaskContext& context) {
    const auto& payload = task.payload;
    const auto& probe = payload.at("probe");
    const NetworkPredictor predictor(model(payload.at("model")));
    const Id asset = payload.at("features");
    write_features(job_.features_file(asset), predictor, probe_text(probe), probe.at("sites").get<std::vector<std::string>>(),
                   probe.at("pooling"), device_, job_.precision, [&] { context.safe_point(); })
        ->commit();
    context.publish(asset);
}

}  // namespace cmsweep
