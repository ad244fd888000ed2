#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "cmsweep/base/error.hpp"
#include "combination_case.hpp"

namespace cmsweep {
namespace {

at::Tensor shuffled(std::int64_t size, std::uint64_t seed) {
    auto order = at::arange(size, at::kLong);
    std::mt19937_64 engine(seed);
    std::shuffle(order.data_ptr<std::int64_t>(), order.data_ptr<std::int64_t>() + size, engine);
    return order;
}

/// The same network with its neurons, heads and dimensions in heads in other places, another order in each block.
std::shared_ptr<const Parameters> moved(const Parameters& from, std::uint64_t seed, std::int64_t first = 0, std::int64_t last = 1 << 20) {
    auto to = std::make_shared<Parameters>(from);
    const auto& geometry = from.geometry();
    const auto heads = geometry.heads, depth = geometry.width / heads;
    for (auto block = first; block <= std::min(last, geometry.blocks - 1); ++block) {
        const auto salt = seed * 1000 + static_cast<std::uint64_t>(block) * 10;
        const auto neurons = shuffled(geometry.inner, salt), head_order = shuffled(heads, salt + 1);
        const auto channels = [&](const at::Tensor& inside) { return (head_order.view({-1, 1}) * depth + inside).flatten(); };
        const auto query_key = channels(shuffled(depth, salt + 2)), value_output = channels(shuffled(depth, salt + 3));
        const auto qkv = at::cat({query_key, query_key + geometry.width, value_output + 2 * geometry.width});
        const auto set = [&](const char* rest, std::int64_t axis, const at::Tensor& order) {
            const auto name = "h." + std::to_string(block) + "." + rest;
            to->set(name, from[name].index_select(axis, order));
        };
        set("mlp.c_fc.weight", 1, neurons);
        set("mlp.c_fc.bias", 0, neurons);
        set("mlp.c_proj.weight", 0, neurons);
        set("attn.c_attn.weight", 1, qkv);
        set("attn.c_attn.bias", 0, qkv);
        set("attn.c_proj.weight", 0, value_output);
    }
    return to;
}

class Rebasin : public CombinationCase {
protected:
    nlohmann::json setting(const char* matching) const { return {{"matching", matching}, {"windows", 40}}; }
};

TEST_F(Rebasin, RecoversThePlantedOrderBitForBit) {
    members = {specialist(*base, 21, "all"), nullptr};
    members[1] = moved(*members[0], 5);
    EXPECT_TRUE(near(losses(members[1]), losses(members[0]))) << "an order of units changes no output";
    EXPECT_FALSE(near(losses(combined("average")), losses(members[0]), 0.1));
    for (const auto* matching : {"weights", "activations"}) {
        const auto combination = combined("rebasin", setting(matching));
        EXPECT_TRUE(same_bits(*combination.merged, *members[0])) << matching;
        EXPECT_TRUE(same_bits(losses(combination), losses(members[0]))) << matching;
        EXPECT_EQ(combination.notes.at("neurons"), 4 * 48) << matching;
        EXPECT_GT(combination.notes.at("moved_neurons"), 4 * 40) << matching;
        EXPECT_GT(combination.notes.at("moved_heads"), 0) << matching;
        EXPECT_GT(combination.notes.at("moved_dimensions"), 0) << matching;
    }
}

TEST_F(Rebasin, MovingAMemberLeavesItsOutputsUnchanged) {
    // All weight but a millionth on a moved and changed member: what comes back is that member in the first's order.
    members[0] = specialist(*base, 21, "all");
    members[1] = moved(*specialist(*members[0], 22, "all"), 5);
    for (const auto* matching : {"weights", "activations"}) {
        auto given = setting(matching);
        given["alpha"] = 1e-6;
        const auto combination = combined("rebasin", given);
        EXPECT_GT(combination.notes.at("moved_neurons"), 0);
        EXPECT_FALSE(near((*combination.merged)["h.1.mlp.c_fc.weight"], (*members[1])["h.1.mlp.c_fc.weight"], 1e-2));
        EXPECT_TRUE(near(losses(combination), losses(members[1]), 1e-3)) << matching;
    }
}

TEST_F(Rebasin, ThreeMembersInSomeBlocksOfAnyHost) {
    const auto first = specialist(*base, 21, "all");
    const auto host = specialist(*base, 33, "all");
    // Activations tell units apart less surely than weights: there the members stay close to the first.
    for (const auto& [matching, distance] : {std::pair{"weights", 1.0}, std::pair{"activations", 0.01}}) {
        const auto towards = [&](std::uint64_t seed) {
            auto made = std::make_shared<Parameters>(*specialist(*first, seed));
            for (const auto& [name, tensor] : first->tensors()) made->set(name, tensor + distance * ((*made)[name] - tensor));
            return made;
        };
        const auto second = towards(22), third = towards(23);
        members = {first, moved(*second, 5, 1, 2), moved(*third, 6, 1, 2)};
        auto given = input("rebasin", setting(matching), {1, 2, false});
        given.host = host;
        const auto combination = combine(given);
        for (const auto& [name, tensor] : combination.merged->tensors()) {
            const auto block = block_of(name);
            if (block == 1 || block == 2)
                EXPECT_TRUE(near(tensor, ((*first)[name] + (*second)[name] + (*third)[name]) / 3, 1e-5)) << matching << name;
            else
                EXPECT_TRUE(tensor.is_same((*host)[name])) << name;
        }
        EXPECT_TRUE(same_bits(losses(combination), losses(combination.merged))) << matching;
    }
}

TEST_F(Rebasin, UnitsMoveThoughATensorOfTheirsIsTheBasesInAllMembers) {
    // Fine-tuning left the biases alone: still they must move with the neurons.
    auto changed = std::make_shared<Parameters>(*specialist(*base, 21));
    for (int block = 0; block < 4; ++block)
        for (const auto* name : {".mlp.c_fc.bias", ".mlp.c_proj.bias"}) changed->set("h." + std::to_string(block) + name, (*base)["h." + std::to_string(block) + name]);
    auto other = std::make_shared<Parameters>(*changed);
    // Neurons 0 and 1 of block 2 in each other's place, but for the bias, which makes them another network's.
    const auto swap = at::cat({at::tensor({1, 0}, at::kLong), at::arange(2, 48, at::kLong)});
    other->set("h.2.mlp.c_fc.weight", (*changed)["h.2.mlp.c_fc.weight"].index_select(1, swap));
    other->set("h.2.mlp.c_proj.weight", (*changed)["h.2.mlp.c_proj.weight"].index_select(0, swap));
    members = {changed, other};
    const auto combination = combined("rebasin");
    EXPECT_EQ(combination.notes.at("moved_neurons"), 2);
    const auto &bias = (*base)["h.2.mlp.c_fc.bias"], merged = (*combination.merged)["h.2.mlp.c_fc.bias"];
    EXPECT_TRUE(near(merged, (bias + bias.index_select(0, swap)) / 2, 1e-6));
    EXPECT_TRUE(same_bits((*combination.merged)["h.2.mlp.c_fc.weight"], (*changed)["h.2.mlp.c_fc.weight"]));
    EXPECT_TRUE((*combination.merged)["wte.weight"].is_same((*base)["wte.weight"]));
}

TEST_F(Rebasin, CostsOneNetworkAndTheTextItReads) {
    const auto one = NetworkPredictor(base).cost(kContext);
    const auto by_weights = combined("rebasin").predictor->cost(kContext), by_activations = combined("rebasin", setting("activations")).predictor->cost(kContext);
    EXPECT_EQ(by_weights.stored, one.stored);
    EXPECT_EQ(by_weights.flops_per_token, one.flops_per_token);
    EXPECT_EQ(by_weights.trained, 0);
    EXPECT_EQ(by_weights.target_tokens, 0);
    EXPECT_EQ(by_activations.target_tokens, 40 * kContext);
    auto given = input("rebasin", setting("activations"));
    given.training_text = {};
    EXPECT_THROW(combine(given), InputError);
    given.setting["matching"] = "weights";
    EXPECT_NO_THROW(combine(given));
}

TEST_F(Rebasin, ActivationsThatAreNotFiniteAreANumericError) {
    auto broken = std::make_shared<Parameters>(*members[1]);
    broken->set("h.1.mlp.c_fc.bias", at::full({48}, std::nan("")));
    members[1] = broken;
    for (const auto* matching : {"weights", "activations"}) EXPECT_THROW(combined("rebasin", setting(matching)), NumericError) << matching;
}

}  // namespace
}  // namespace cmsweep
