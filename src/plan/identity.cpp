#include "identity.hpp"

namespace cmsweep {
namespace {

// Raised when the numbers of a kind of result change.
constexpr int kTrajectoryVersion = 1;
constexpr int kFeaturesVersion = 1;

std::string train_digest(const InputFacts& facts, const std::string& corpus) {
    return facts.corpora.at(corpus).digests[0].hex();
}

}  // namespace

Identity::Identity(const Config& config, const InputFacts& facts) : config_(config), facts_(facts), base_(facts.base) {
    if (!base_is_made()) return;
    nlohmann::json corpora = nlohmann::json::array();
    for (const auto& corpus : config.model.pretrain_corpora) corpora.push_back(train_digest(facts, corpus));
    // The base is the model after the last step, so that its steps count even where the schedule is constant.
    base_ = result("base", kTrajectoryVersion,
                   {{"geometry", facts.geometry},
                    {"training", training_to_json(resolved(*config.model.pretrain), true)},
                    {"steps", config.model.pretrain->steps},
                    {"corpora", corpora}});
}

Id Identity::result(const char* kind, int version, nlohmann::json content) const {
    content["kind"] = kind;
    content["version"] = version;
    content["precision"] = config_.run.precision;
    content["device"] = facts_.device;
    return hash_json(content);
}

TrainingConfig Identity::resolved(const TrainingConfig& training) const {
    TrainingConfig copy = training;
    copy.context = context_or_model(training.context);
    return copy;
}

Id Identity::trajectory(const MemberName& member, std::int64_t seed) const {
    const SpecialistConfig& specialist = *config_.find_specialist(member.specialist);
    const TrainingConfig training = resolved(specialist.training);
    nlohmann::json content{{"base", base_},
                           {"training", training_to_json(training, true)},
                           {"text", train_digest(facts_, specialist.corpus)},
                           {"twin", member.twin},
                           {"seed", seed}};
    if (training.mix_fraction > 0) content["mix"] = train_digest(facts_, training.mix_corpus);
    return result("trajectory", kTrajectoryVersion, content);
}

Id Identity::curve(const MemberName& member, std::int64_t seed) const {
    return hash_json({{"trajectory", trajectory(member, seed)}, {"steps", config_.find_specialist(member.specialist)->training.steps}});
}

ModelNode Identity::node(const std::string& member, std::int64_t degree, std::int64_t seed, std::int64_t model_code) const {
    ModelNode node;
    node.model = model_code;
    node.degree = degree;
    const MemberName name = parse_member(member);
    if (degree == 0 || name.specialist == "base") {
        node.id = base_;
        node.reference = {{"kind", "base"}};
        if (base_is_made()) node.asset = base_;
        return node;
    }
    const SpecialistConfig& specialist = *config_.find_specialist(name.specialist);
    if (!specialist.checkpoints.empty()) {
        node.id = facts_.loaded.at({name.specialist, degree});
        node.reference = {{"kind", "loaded"}, {"id", node.id}, {"folder", specialist.checkpoints.at(degree)}};
        return node;
    }
    const Id trajectory_id = trajectory(name, seed);
    node.id = hash_json({{"trajectory", trajectory_id}, {"degree", degree}});
    node.asset = node.id;
    const TrainingConfig training = resolved(specialist.training);
    node.reference = {{"kind", "delta"}, {"id", node.id}, {"trajectory", trajectory_id}, {"degree", degree},
                      {"tokens", degree * training.batch * training.context}};
    return node;
}

nlohmann::json Identity::probe(const std::string& corpus) const {
    return {{"text", facts_.corpora.at(corpus).digests[2]},
            {"windows", config_.similarity.windows},
            {"context", context_or_model(config_.similarity.context)},
            {"pooling", config_.similarity.pooling}};
}

nlohmann::json Identity::target(const std::string& corpus) const {
    const CorpusFacts& facts = facts_.corpora.at(corpus);
    return {{"test", facts.digests[2]},
            {"select", facts.digests[1]},
            {"windows", config_.evaluate.windows},
            {"context", context_or_model(config_.evaluate.context)}};
}

Id Identity::features(const Id& model, const std::string& probe_corpus) const {
    return result("features", kFeaturesVersion,
                  {{"model", model}, {"probe", probe(probe_corpus)}, {"sites", config_.similarity.sites}});
}

}  // namespace cmsweep
