#include <cmath>

#include "cmsweep/base/error.hpp"
#include "combination_case.hpp"
#include "learned.hpp"
#include "routed_stack.hpp"

namespace cmsweep {
namespace {

class Route : public CombinationCase {
protected:
    EvaluationText probe() const { return {&text, {0, 100, 1000, 1500}, kContext}; }
    std::vector<std::vector<double>> weights(const Combination& combination) const {
        return routing_weights(*combination.predictor, probe(), torch::kCPU, "float32", {});
    }
    static std::vector<at::Tensor> tensors(const Combination& combination) {
        return dynamic_cast<const RoutedStack&>(*combination.predictor).router_tensors();
    }
};

TEST_F(Route, UntrainedZeroRoutersMixUniformly) {
    const nlohmann::json setting{{"init", "zero"}, {"steps", 0}};
    for (const BlockRange blocks : {BlockRange{0, 3, true}, BlockRange{1, 1, false}, BlockRange{1, 3, false}})
        EXPECT_TRUE(near(losses(combined("route", setting, blocks)), losses(combined("interpolate_features", {}, blocks))));
    const auto found = weights(combined("route", {{"init", "zero"}, {"steps", 0}, {"span", 2}}, {1, 3, false}));
    ASSERT_EQ(found.size(), 3u);
    for (const auto& row : found) EXPECT_EQ(row, std::vector<double>(4, 0.25));
}

TEST_F(Route, OneExpertEqualsThatExpert) {
    auto given = input("route", {{"steps", 0}});
    given.members = {members[1]};
    EXPECT_TRUE(same_bits(losses(combine(given)), losses(members[1])));  // all but the MLPs is the base's in both
    given.setting["top_k"] = 1;
    given.setting["renormalise"] = true;
    EXPECT_TRUE(same_bits(losses(combine(given)), losses(members[1])));
}

TEST_F(Route, ExpertsAreOffsetMajorThenMembersThenTheBase) {
    EXPECT_EQ(expert_blocks(0, 4, 4), (std::vector<std::int64_t>{0, 1, 2, 3}));
    EXPECT_EQ(expert_blocks(2, 3, 4), (std::vector<std::int64_t>{2, 3, 1}));
    EXPECT_EQ(expert_blocks(3, 4, 4), (std::vector<std::int64_t>{3, 2, 1, 0}));
    EXPECT_EQ(expert_blocks(1, 1, 4), (std::vector<std::int64_t>{1}));
    const RoutedStack stack(input("route", {{"span", 2}, {"include_base", true}, {"steps", 0}}, {2, 3, false}));
    const auto& experts = stack.experts();
    ASSERT_EQ(experts.size(), 2u);
    ASSERT_EQ(experts[1].size(), 6u);
    for (std::size_t j = 0; j < 6; ++j) {
        EXPECT_EQ(experts[0][j].block, j < 3 ? 2 : 3);
        EXPECT_EQ(experts[1][j].block, j < 3 ? 3 : 2);  // past the top
        EXPECT_EQ(experts[1][j].network, j % 3 == 2 ? base : members[j % 3]);
    }
    EXPECT_EQ(expert_count({{"span", 2}, {"include_base", true}}, 2), 6);
    EXPECT_EQ(expert_count({{"span", 3}, {"include_base", false}}, 2), 6);
}

TEST_F(Route, MixesAllExpertsOfASpanAtTheirSoftmaxWeights) {
    const BlockRange blocks{2, 3, false};
    const auto combination = combined("route", {{"span", 2}, {"include_base", true}, {"steps", 0}}, blocks);
    const auto routers = tensors(combination);
    ASSERT_EQ(routers.size(), 2u);
    const auto wanted = losses_with_mlp(*members[0], blocks, [&](std::int64_t block, const at::Tensor& x) {
        const auto p = at::softmax(at::matmul(x, routers[static_cast<std::size_t>(block - 2)].t()), -1);
        auto sum = at::zeros_like(x);
        std::int64_t j = 0;
        for (const auto source : {block, block == 2 ? std::int64_t{3} : std::int64_t{2}})
            for (const auto& network : {members[0], members[1], base}) sum = sum + p.narrow(-1, j++, 1) * run_mlp(*network, source, x);
        return sum;
    });
    EXPECT_TRUE(near(losses(combination), wanted));
}

TEST_F(Route, TopOneRunsTheMostLikelyExpert) {
    for (const bool renormalise : {false, true}) {
        const auto combination = combined("route", {{"top_k", 1}, {"renormalise", renormalise}, {"steps", 0}});
        const auto routers = tensors(combination);
        std::set<std::int64_t> chosen;
        const auto wanted = losses_with_mlp(*members[0], {0, 3, true}, [&](std::int64_t block, const at::Tensor& x) {
            const auto p = at::softmax(at::matmul(x, routers[static_cast<std::size_t>(block)].t()), -1);
            const auto best = p.argmax(-1, true);
            for (std::int64_t i = 0; i < best.numel(); ++i) chosen.insert(best.flatten()[i].item<std::int64_t>());
            const auto picked = at::where(best == 0, run_mlp(*members[0], block, x), run_mlp(*members[1], block, x));
            return renormalise ? picked : picked * p.gather(-1, best);
        });
        EXPECT_EQ(chosen.size(), 2u);
        EXPECT_TRUE(near(losses(combination), wanted)) << renormalise;
    }
}

TEST_F(Route, TopKRenormalisedWeighsTheKeptExpertsOnly) {
    const auto found = weights(combined("route", {{"span", 2}, {"top_k", 2}, {"renormalise", true}, {"steps", 0}}));
    const auto plain = weights(combined("route", {{"span", 2}, {"top_k", 2}, {"steps", 0}}));
    const auto dense = weights(combined("route", {{"span", 2}, {"steps", 0}}));
    ASSERT_EQ(found.size(), 4u);
    const auto sum = [](const std::vector<double>& row) { return std::accumulate(row.begin(), row.end(), 0.0); };
    for (std::size_t i = 0; i < 4; ++i) {
        ASSERT_EQ(found[i].size(), 4u);
        EXPECT_NEAR(sum(found[i]), 1, 1e-6);
        EXPECT_LT(sum(plain[i]), 0.999);
        EXPECT_NEAR(sum(dense[i]), 1, 1e-6);
    }
}

TEST_F(Route, KeepingAllButOneAgreesWithTheDenseMixOfTheSameWeights) {
    const BlockRange blocks{1, 1, false};
    const auto combination = combined("route", {{"span", 2}, {"top_k", 3}, {"steps", 0}}, blocks);
    const auto router = tensors(combination).at(0);
    const auto wanted = losses_with_mlp(*members[0], blocks, [&](std::int64_t, const at::Tensor& x) {
        const auto p = at::softmax(at::matmul(x, router.t()), -1);
        const auto w = p * (p > p.amin(-1, true));
        return w.narrow(-1, 0, 1) * run_mlp(*members[0], 1, x) + w.narrow(-1, 1, 1) * run_mlp(*members[1], 1, x) +
               w.narrow(-1, 2, 1) * run_mlp(*members[0], 2, x) + w.narrow(-1, 3, 1) * run_mlp(*members[1], 2, x);
    });
    EXPECT_TRUE(near(losses(combination), wanted));
}

TEST_F(Route, EqualsItsDefinitionAtEverySpanAndTopK) {
    // Three members, some blocks, a host that is none of them; spans up to the whole stack, from one expert kept to all.
    members.push_back(specialist(*base, 13));
    const auto host = specialist(*base, 33, "all");
    const BlockRange blocks{1, 3, false};
    const auto check = [&](nlohmann::json setting) {
        setting["steps"] = 0;
        auto given = input("route", setting, blocks);
        given.host = host;
        const auto combination = combine(given);
        const auto maps = tensors(combination);
        const bool hidden = setting.at("router") == "mlp", single = setting.at("scope") == "single";
        const auto keep = setting.at("top_k").get<std::int64_t>();
        at::Tensor decided;
        const auto wanted = losses_with_mlp(*host, blocks, [&](std::int64_t block, const at::Tensor& x) {
            if (!single || block == blocks.first) {
                const auto first = static_cast<std::size_t>(single ? 0 : block - blocks.first) * (hidden ? 2 : 1);
                const auto scores = hidden ? at::matmul(at::matmul(x, maps[first].t()).clamp_min(0), maps[first + 1].t()) : at::matmul(x, maps[first].t());
                const auto p = at::softmax(scores, -1);
                // Stable: a hidden layer that is all 0 gives equal probabilities, of which the first ones are kept.
                const auto order = std::get<1>(at::sort(p, /*stable=*/true, /*dim=*/-1, /*descending=*/true)).narrow(-1, 0, keep);
                decided = p * at::zeros_like(p).scatter(-1, order, 1.0);
                if (setting.at("renormalise")) decided = decided / decided.sum(-1, true);
            }
            std::vector<std::int64_t> sources;
            for (std::int64_t above = block; above < 4; ++above) sources.push_back(above);
            for (std::int64_t below = block - 1; below >= 0; --below) sources.push_back(below);
            auto sum = at::zeros_like(x);
            std::int64_t j = 0;
            for (std::int64_t s = 0; s < setting.at("span").get<std::int64_t>(); ++s) {
                for (const auto& member : members) sum = sum + decided.narrow(-1, j++, 1) * run_mlp(*member, sources[static_cast<std::size_t>(s)], x);
                if (setting.at("include_base")) sum = sum + decided.narrow(-1, j++, 1) * run_mlp(*base, sources[static_cast<std::size_t>(s)], x);
            }
            return sum;
        });
        EXPECT_TRUE(near(losses(combination), wanted)) << setting;
        if (keep == expert_count(given.setting, 3)) {
            given.setting["top_k"] = "all";
            EXPECT_TRUE(near(losses(combine(given)), losses(combination))) << setting;
        }
    };
    for (std::int64_t span = 1; span <= 4; ++span) {
        for (const bool with_base : {false, true}) {
            const std::int64_t experts = span * (with_base ? 4 : 3);
            for (std::int64_t keep = 1; keep <= experts; ++keep)
                for (const bool renormalise : {false, true})
                    for (const auto* router : {"linear", "mlp"})
                        for (const auto* scope : {"per_layer", "single"})
                            check({{"span", span}, {"include_base", with_base}, {"top_k", keep}, {"renormalise", renormalise},
                                   {"router", router}, {"hidden", 6}, {"scope", scope}});
        }
    }
}

TEST_F(Route, ASingleRouterDecidesForAllBlocks) {
    const nlohmann::json setting{{"scope", "single"}, {"span", 2}, {"steps", 0}};
    const BlockRange blocks{1, 3, false};
    const auto combination = combined("route", setting, blocks);
    const auto routers = tensors(combination);
    ASSERT_EQ(routers.size(), 1u);
    EXPECT_TRUE(same_bits(routers[0], tensors(combined("route", {{"span", 2}, {"steps", 0}}, blocks)).at(0)));
    const auto found = weights(combination);
    EXPECT_EQ(found[0], found[1]);
    EXPECT_EQ(found[0], found[2]);
    at::Tensor p;
    const auto wanted = losses_with_mlp(*members[0], blocks, [&](std::int64_t block, const at::Tensor& x) {
        if (block == 1) p = at::softmax(at::matmul(x, routers[0].t()), -1);
        auto sum = at::zeros_like(x);
        std::int64_t j = 0;
        for (const auto source : expert_blocks(block, 2, 4))
            for (const auto& member : members) sum = sum + p.narrow(-1, j++, 1) * run_mlp(*member, source, x);
        return sum;
    });
    EXPECT_TRUE(near(losses(combination), wanted));
}

TEST_F(Route, EqualExpertsRunOnceAndChangeNothing) {
    auto copy = std::make_shared<Parameters>(*base);
    for (const auto& [name, tensor] : base->tensors()) copy->set(name, tensor.clone());
    members = {base, base};
    const auto shared = losses(combined("route", {{"steps", 0}, {"span", 2}}));
    members = {base, copy};
    EXPECT_TRUE(same_bits(losses(combined("route", {{"steps", 0}, {"span", 2}})), shared));
    EXPECT_EQ(RoutedStack(input("route", {{"steps", 0}})).experts()[0][1].same_as, 1u);
    members = {base, base};
    EXPECT_EQ(RoutedStack(input("route", {{"steps", 0}})).experts()[0][1].same_as, 0u);
}

TEST_F(Route, GradientsOfAllRoutersEqualFiniteDifferences) {
    for (const auto* scope : {"per_layer", "single"})
        for (const auto* router : {"linear", "mlp"}) {
            const RoutedStack stack(input("route", {{"scope", scope}, {"router", router}, {"hidden", 6}, {"span", 2}}, {1, 3, false}));
            const auto loss = [&] { return mean_loss(*members[0], stack.stream(windows.narrow(1, 0, kContext)), windows.narrow(1, 1, kContext)); };
            auto trained = stack.router_tensors();
            for (auto& tensor : trained) tensor.requires_grad_(true);
            loss().backward();
            const at::NoGradGuard no_grad;
            for (const auto& tensor : trained) {
                // Along the gradient: the change is largest there. The loss is float32, about 4 with an error of 1e-6, so
                // over a step of 2 x 0.01 the quotient is good to 1e-4, plus the curvature of a softmax: 2 % together.
                const auto gradient = tensor.grad().clone();
                const double norm = gradient.norm().item<double>();
                ASSERT_GT(norm, 5e-3) << scope << router;
                const double step = 0.01;
                tensor.add_(gradient, step / norm);
                const double above = loss().item<double>();
                tensor.sub_(gradient, 2 * step / norm);
                const double below = loss().item<double>();
                tensor.add_(gradient, step / norm);
                EXPECT_NEAR((above - below) / (2 * step) / norm, 1, 0.02) << scope << router;
            }
        }
}

TEST_F(Route, TrainingLowersTheTrainingLossAndLeavesTheNetworksAlone) {
    const auto before = Parameters(*members[0]);
    std::vector<at::Tensor> copies;
    for (const auto& [name, tensor] : before.tensors()) copies.push_back(tensor.clone());
    for (const auto& setting : {nlohmann::json{{"steps", 60}, {"learning_rate", 0.05}}, nlohmann::json{{"steps", 60}, {"learning_rate", 0.05}, {"span", 2}, {"top_k", 1}, {"renormalise", true}},
                                nlohmann::json{{"steps", 60}, {"learning_rate", 0.05}, {"scope", "single"}, {"router", "mlp"}}}) {
        auto untrained = setting;
        untrained["steps"] = 0;
        const auto combination = combined("route", setting), start = combined("route", untrained);
        EXPECT_EQ(combination.curve.loss.size(), 60u);
        EXPECT_TRUE(start.curve.loss.empty());
        const Predictor* const both[] = {combination.predictor.get(), start.predictor.get()};
        EvaluationText training{&text, {}, kContext};
        for (std::uint64_t i = 0; i < 200; ++i) training.starts.push_back(i * kContext);
        const auto results = evaluate(both, training, torch::kCPU, "float32", {});
        EXPECT_LT(results[0].loss, results[1].loss - 0.02) << setting;
    }
    std::size_t i = 0;
    for (const auto& [name, tensor] : members[0]->tensors()) EXPECT_TRUE(same_bits(tensor, copies[i++])) << name;
}

TEST_F(Route, TrainingRepeatsAndContinuesBitForBit) {
    auto given = input("route", {{"steps", 12}});
    const auto whole = combine(given);
    given.resume.file = scratch.path() / "resume";
    given.resume.identity = "route";
    int points = 0;
    given.safe_point = [&] {
        if (++points == 6) throw StopRequest();
    };
    EXPECT_THROW(combine(given), StopRequest);
    given.safe_point = [&] { ++points; };
    const auto continued = combine(given);
    EXPECT_EQ(points, 6 + 7);  // five steps were done before
    EXPECT_EQ(continued.curve.loss, whole.curve.loss);
    EXPECT_TRUE(same_bits(losses(continued), losses(whole)));
}

TEST_F(Route, TextOfTwoMembersOfOneCorpusIsOneSource) {
    const auto other = make_split(scratch.path(), 1500, 20, 4);
    auto given = input("route", {{"steps", 3}, {"train_on", "specialists"}, {"batch", 4}});
    given.training_text = {&text, &other};
    const auto two = combine(given);
    given.training_text = {&text, &text};
    const auto same = combine(given);
    given.training_text = {&text};
    EXPECT_EQ(same.curve.loss, combine(given).curve.loss);
    EXPECT_NE(same.curve.loss, two.curve.loss);
    EXPECT_EQ(two.predictor->cost(kContext).target_tokens, 3 * 2 * kContext);
    EXPECT_EQ(same.predictor->cost(kContext).target_tokens, 3 * 4 * kContext);
    // A corpus by name: its tokens are the target's only if it is the target's corpus.
    given.setting["train_on"] = "other";
    given.training_text = {&other};
    EXPECT_EQ(combine(given).predictor->cost(kContext).target_tokens, 0);
    given.target_text = other.digest();
    EXPECT_EQ(combine(given).predictor->cost(kContext).target_tokens, 3 * 4 * kContext);
    given.training_text = {};
    EXPECT_THROW(combine(given), InputError);
}

TEST_F(Route, ANonFiniteLossIsANumericError) {
    auto broken = std::make_shared<Parameters>(*members[1]);
    broken->set("h.1.mlp.c_fc.bias", at::full({48}, std::nan("")));
    members[1] = broken;
    EXPECT_THROW(combined("route"), NumericError);
}

TEST_F(Route, ImpossibleSettingsAreInputErrors) {
    EXPECT_THROW(combined("route", {{"span", 5}}), InputError);
    EXPECT_THROW(combined("route", {{"top_k", 3}}), InputError);
}

TEST_F(Route, CostOfDenseRoutingCountsAllExpertsAndRouters) {
    // 2 blocks, 2 x 2 experts; span 2 from blocks 2 and 3 meets MLPs 2, 3 and 3, 2: 4 distinct ones.
    const auto cost = combined("route", {{"span", 2}, {"steps", 5}, {"batch", 3}}, {2, 3, false}).predictor->cost(kContext);
    const auto rest = 240 + 192 + 4 * (48 + 624) + 24 + 2 * 1212;
    const auto routers = 2 * 4 * 12;
    EXPECT_EQ(cost.trained, routers);
    EXPECT_EQ(cost.target_tokens, 5 * 3 * 8);
    EXPECT_EQ(cost.stored, rest + 4 * 1212 + routers);
    EXPECT_EQ(cost.active, rest - 192 + 12 + 4 * 1212 + routers);
    EXPECT_EQ(cost.flops_per_token, 4 * (1152 + 216) + 480 + 2 * 2304 + 2 * 4 * 2304 + 2 * routers);
}

TEST_F(Route, CostOfTopKCountsTheKeptExperts) {
    const auto cost = combined("route", {{"span", 2}, {"top_k", 1}, {"steps", 0}, {"include_base", true}, {"scope", "single"}}, {0, 1, false})
                          .predictor->cost(kContext);
    const auto rest = 240 + 192 + 4 * (48 + 624) + 24 + 2 * 1212;
    const auto router = 6 * 12;
    EXPECT_EQ(cost.trained, router);
    EXPECT_EQ(cost.target_tokens, 0);
    // Blocks 0, 1 and 2 of three models; member 0's MLP of block 2 is the host's own, counted in the rest already.
    EXPECT_EQ(cost.stored, rest + (9 - 1) * 1212 + router);
    EXPECT_EQ(cost.active, rest - 192 + 12 + 2 * 1212 + router);
    EXPECT_EQ(cost.flops_per_token, 4 * (1152 + 216) + 480 + 2 * 2304 + 2 * 2304 + 2 * router);
}

TEST_F(Route, OtherPredictorsHaveNoRoutingWeights) {
    EXPECT_TRUE(weights(combined("base")).empty());
    EXPECT_TRUE(weights(combined("interpolate_features")).empty());
}

TEST_F(Route, ShowsTheStreamThatItScores) {
    const auto combination = combined("route", {{"steps", 0}, {"top_k", 1}, {"scope", "single"}}, {1, 2, false});
    const at::NoGradGuard no_grad;
    Batch batch(windows);
    std::vector<at::Tensor> streams;
    ForwardHooks hooks;
    hooks.residual = [&](std::int64_t, const at::Tensor& stream) { streams.push_back(stream); };
    ASSERT_TRUE(combination.predictor->show_stream(batch, hooks));
    ASSERT_EQ(streams.size(), 4u);
    EXPECT_TRUE(same_bits(score_stream(*members[0], streams.back(), batch.targets()).loss, losses(combination)));
}

}  // namespace
}  // namespace cmsweep
