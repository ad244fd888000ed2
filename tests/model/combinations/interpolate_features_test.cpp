#include "combination_case.hpp"

namespace cmsweep {
namespace {

class InterpolateFeatures : public CombinationCase {};

TEST_F(InterpolateFeatures, ParentsComeBackBitForBitWhereOnlyMlpsDiffer) {
    for (const auto* site : {"mlp", "block"}) {
        EXPECT_TRUE(same_bits(losses(combined("interpolate_features", {{"alpha", 1.0}, {"site", site}})), losses(members[0]))) << site;
        EXPECT_TRUE(same_bits(losses(combined("interpolate_features", {{"alpha", 0.0}, {"site", site}})), losses(members[1]))) << site;
    }
    members.push_back(specialist(*base, 13));
    for (const auto* site : {"mlp", "block"}) {
        const nlohmann::json setting{{"weights", {0, 0, 2}}, {"site", site}};
        EXPECT_TRUE(same_bits(losses(combined("interpolate_features", setting)), losses(members[2]))) << site;
    }
}

TEST_F(InterpolateFeatures, MixesMlpOutputsOfThreeMembersInTheHostsStream) {
    members.push_back(specialist(*base, 13));
    const nlohmann::json setting{{"weights", {1, 2, 1}}};
    for (const BlockRange blocks : {BlockRange{0, 3, true}, BlockRange{2, 2, false}, BlockRange{1, 2, false}})
        for (const auto& host : {members[0], base, specialist(*base, 33, "all")}) {
            auto given = input("interpolate_features", setting, blocks);
            given.host = host;
            const auto wanted = losses_with_mlp(*host, blocks, [&](std::int64_t block, const at::Tensor& x) {
                return 0.25 * run_mlp(*members[0], block, x) + 0.5 * run_mlp(*members[1], block, x) + 0.25 * run_mlp(*members[2], block, x);
            });
            EXPECT_TRUE(near(losses(combine(given)), wanted)) << blocks.first << "-" << blocks.last;
        }
}

TEST_F(InterpolateFeatures, MixesWholeBlocks) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all")};
    const auto combination = combined("interpolate_features", {{"alpha", 0.75}, {"site", "block"}}, {1, 1, false});
    const auto& host = *members[0];
    const at::NoGradGuard no_grad;
    const auto before = run_blocks(host, embed(host, windows.narrow(1, 0, kContext)), 0, 1);
    const auto after = 0.75 * run_block(*members[0], 1, before) + 0.25 * run_block(*members[1], 1, before);
    const auto wanted = score_stream(host, run_blocks(host, after, 2, 4), windows.narrow(1, 1, kContext)).loss;
    EXPECT_TRUE(near(losses(combination), wanted));
    // It is no interpolation of MLPs: attention and norms differ as well.
    EXPECT_FALSE(near(losses(combined("interpolate_features", {{"alpha", 0.75}}, {1, 1, false})), wanted, 1e-3));
}

TEST_F(InterpolateFeatures, ShowsTheStreamThatItScores) {
    for (const auto* site : {"mlp", "block"}) {
        const auto combination = combined("interpolate_features", {{"site", site}}, {1, 2, false});
        const at::NoGradGuard no_grad;
        Batch batch(windows);
        std::vector<at::Tensor> streams, mlps;
        ForwardHooks hooks;
        hooks.residual = [&](std::int64_t block, const at::Tensor& stream) {
            EXPECT_EQ(block, static_cast<std::int64_t>(streams.size()));
            streams.push_back(stream);
        };
        hooks.mlp_output = [&](std::int64_t, const at::Tensor& output) { mlps.push_back(output); };
        ASSERT_TRUE(combination.predictor->show_stream(batch, hooks));
        ASSERT_EQ(streams.size(), 4u);
        ASSERT_EQ(mlps.size(), 4u);
        EXPECT_TRUE(same_bits(score_stream(*members[0], streams.back(), batch.targets()).loss, losses(combination))) << site;
        EXPECT_TRUE(same_bits(streams[0], batch.stream_before(*members[0], 1))) << site;
        // The attention's part is the host's at either site, since only MLPs differ: the rest is what the mixed MLPs added.
        std::vector<at::Tensor> own;
        ForwardHooks see;
        see.mlp_output = [&](std::int64_t, const at::Tensor& output) { own.push_back(output); };
        const auto alone = run_block(*members[0], 1, streams[0], see);
        EXPECT_TRUE(near(streams[1] - alone, mlps[1] - own[0])) << site;
    }
}

TEST_F(InterpolateFeatures, CostCountsTheMembersThatRun) {
    const auto both = combined("interpolate_features", nlohmann::json::object(), {1, 2, false}).predictor->cost(kContext);
    const auto rest = 240 + 192 + 4 * (48 + 624) + 24 + 2 * 1212;
    EXPECT_EQ(both.stored, rest + 2 * 2 * 1212);
    EXPECT_EQ(both.active, rest - 192 + 12 + 2 * 2 * 1212);
    EXPECT_EQ(both.flops_per_token, 4 * (1152 + 216) + 480 + 2 * 2304 + 2 * 2 * 2304);
    const auto alone = combined("interpolate_features", {{"alpha", 0.0}}, {1, 2, false}).predictor->cost(kContext);
    EXPECT_EQ(alone.stored, NetworkPredictor(base).cost(kContext).stored);
    EXPECT_EQ(alone.flops_per_token, NetworkPredictor(base).cost(kContext).flops_per_token);
    // Whole blocks: attention runs twice, but its tensors are shared by the members and stored once.
    const auto blocks = combined("interpolate_features", {{"site", "block"}}, {1, 2, false}).predictor->cost(kContext);
    EXPECT_EQ(blocks.stored, both.stored);
    EXPECT_EQ(blocks.flops_per_token, both.flops_per_token + 2 * (1152 + 216));
}

}  // namespace
}  // namespace cmsweep
