#include "combination_case.hpp"

namespace cmsweep {
namespace {

class Merged : public CombinationCase {};

TEST_F(Merged, AverageAtWeightOneReturnsEachParentBitForBit) {
    // Every tensor differs between the members, embeddings included.
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all")};
    for (const auto& [alpha, parent] : {std::pair{1.0, 0}, std::pair{0.0, 1}}) {
        const auto combination = combined("average", {{"alpha", alpha}});
        EXPECT_TRUE(same_bits(*combination.merged, *members[parent])) << alpha;
        EXPECT_TRUE(same_bits(losses(combination), losses(members[parent]))) << alpha;
    }
}

TEST_F(Merged, OneBlockIsAveragedAndTheRestIsTheHosts) {
    for (const auto& host : {members[0], base, specialist(*base, 33, "all")}) {
        auto given = input("average", {{"alpha", 0.25}}, {2, 2, false});
        given.host = host;
        const auto combination = combine(given);
        for (const auto& [name, tensor] : combination.merged->tensors()) {
            if (block_of(name) != 2) {
                EXPECT_TRUE(tensor.is_same((*host)[name])) << name;
            } else if (is_mlp(name)) {
                EXPECT_TRUE(near(tensor, 0.25 * (*members[0])[name] + 0.75 * (*members[1])[name], 1e-6)) << name;
            } else {
                EXPECT_TRUE(same_bits(tensor, (*base)[name])) << name;  // no member moved it: not the third model's either
            }
        }
        // The shared prefix changes no bit.
        EXPECT_TRUE(same_bits(losses(combination), losses(combination.merged)));
    }
}

TEST_F(Merged, TensorsThatNoMemberMovedKeepTheirHandle) {
    const auto combination = combined("average");
    for (const auto& [name, tensor] : combination.merged->tensors()) EXPECT_EQ(tensor.is_same((*base)[name]), !is_mlp(name)) << name;
}

TEST_F(Merged, ACopyWithOtherHandlesCountsAsUnmoved) {
    auto copy = std::make_shared<Parameters>(*members[1]);
    for (const auto& [name, tensor] : members[1]->tensors()) copy->set(name, tensor.clone());
    members[1] = copy;
    EXPECT_TRUE(combined("average").merged->tensors().at("h.0.attn.c_attn.weight").is_same((*base)["h.0.attn.c_attn.weight"]));
}

TEST_F(Merged, EqualModelsNeedNoMethod) {
    members = {base, base};
    EXPECT_TRUE(same_bits(*combined("average").merged, *base));
}

TEST_F(Merged, RangesTakeBlocksOnlyEvenIfTheySpanAll) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all")};
    const auto combination = combined("average", {{"alpha", 0.0}}, {0, 3, false});
    EXPECT_TRUE((*combination.merged)["wte.weight"].is_same((*members[0])["wte.weight"]));
    EXPECT_TRUE(same_bits((*combination.merged)["h.3.ln_1.weight"], (*members[1])["h.3.ln_1.weight"]));
    EXPECT_TRUE(same_bits(losses(combination), losses(combination.merged)));
}

/// Writes member 0 and notes what it was asked to merge.
void take_notes(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json& notes) {
    for (std::size_t i = 0; i < input.tensors.size(); ++i) {
        notes[input.tensors[i].name] = {{"shape", input.tensors[i].shape}, {"transposed", input.tensors[i].transposed}};
        std::ranges::copy(input.members[0][i], out[i].begin());
    }
    notes["weights"] = input.weights;
    notes["seed"] = input.seed;
}

TEST_F(Merged, MethodsSeeShapesTranspositionWeightsAndSeed) {
    members = {specialist(*base, 21, "all"), specialist(*base, 22, "all"), base};
    MethodInfo method = *find_method("average");
    method.merge = take_notes;
    auto given = input("average", {{"weights", {1, 2, 0}}});
    given.method = &method;
    const auto notes = combine(given).notes;
    EXPECT_EQ(notes.at("h.1.attn.c_attn.weight"), (nlohmann::json{{"shape", {12, 36}}, {"transposed", true}}));
    EXPECT_EQ(notes.at("h.1.mlp.c_proj.weight").at("transposed"), true);
    EXPECT_EQ(notes.at("h.1.mlp.c_proj.bias").at("transposed"), false);
    EXPECT_EQ(notes.at("wte.weight"), (nlohmann::json{{"shape", {20, 12}}, {"transposed", false}}));
    EXPECT_EQ(notes.at("weights"), (nlohmann::json{1, 2, 0}));
    EXPECT_EQ(notes.at("seed"), 7);
    EXPECT_EQ(notes.size(), tensor_specs(geometry()).size() + 2);
}

TEST_F(Merged, CostIsOneNetworks) {
    const auto cost = combined("average").predictor->cost(kContext);
    // wte 240, wpe 192, 4 blocks of (2 norms 48, attention 432 + 36 + 144 + 12, MLP 576 + 48 + 576 + 12), final norm 24
    EXPECT_EQ(cost.stored, 240 + 192 + 4 * (48 + 624 + 1212) + 24);
    EXPECT_EQ(cost.active, 240 + 12 + 4 * (48 + 624 + 1212) + 24);  // one row of wpe; wte is the head
    EXPECT_EQ(cost.trained, 0);
    // 4 blocks of (attention 2 x 576 + 2 x 12 x 9, MLP 2 x 1152), head 2 x 240
    EXPECT_EQ(cost.flops_per_token, 4 * (1152 + 216 + 2304) + 480);
}

}  // namespace
}  // namespace cmsweep
