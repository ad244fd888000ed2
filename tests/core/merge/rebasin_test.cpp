#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "cmsweep/base/error.hpp"
#include "merge_case.hpp"
#include "statistics_case.hpp"

namespace cmsweep {
namespace {

using Order = std::vector<std::size_t>;

/// One block of GPT-2's shape, with everything that its units touch, and an orderly way to move them.
struct Block {
    std::size_t width = 12, heads = 3, inner = 20;

    std::vector<MergeTensor> tensors() const {
        const auto w = static_cast<std::int64_t>(width), n = static_cast<std::int64_t>(inner);
        return {{"h.4.ln_1.weight", {w}, false},        {"h.4.attn.c_attn.weight", {w, 3 * w}, true}, {"h.4.attn.c_attn.bias", {3 * w}, false},
                {"h.4.attn.c_proj.weight", {w, w}, true}, {"h.4.attn.c_proj.bias", {w}, false},         {"h.4.mlp.c_fc.weight", {w, n}, true},
                {"h.4.mlp.c_fc.bias", {n}, false},        {"h.4.mlp.c_proj.weight", {n, w}, true},      {"h.4.mlp.c_proj.bias", {w}, false}};
    }

    /// Values of size 1.
    std::vector<std::vector<float>> random(std::uint64_t seed) const {
        std::mt19937_64 engine(seed);
        std::normal_distribution<float> normal;
        std::vector<std::vector<float>> made;
        for (const auto& tensor : tensors()) {
            auto& values = made.emplace_back(static_cast<std::size_t>(tensor.elements()));
            for (auto& value : values) value = normal(engine);
        }
        return made;
    }

    /// The same network with other places for its units: place u of the result is unit neurons[u], head heads[h], and inside
    /// it the dimensions query_key[d] and value_output[d] of the given one. Written element by element, not as the method does.
    std::vector<std::vector<float>> moved(const std::vector<std::vector<float>>& from, const Order& neurons, const Order& head_order,
                                          const Order& query_key, const Order& value_output) const {
        auto to = from;
        const std::size_t depth = width / heads;
        for (std::size_t u = 0; u < inner; ++u) {
            to[6][u] = from[6][neurons[u]];
            for (std::size_t r = 0; r < width; ++r) {
                to[5][r * inner + u] = from[5][r * inner + neurons[u]];
                to[7][u * width + r] = from[7][neurons[u] * width + r];
            }
        }
        for (std::size_t h = 0; h < heads; ++h) {
            for (std::size_t d = 0; d < depth; ++d) {
                for (std::size_t section = 0; section < 3; ++section) {
                    const std::size_t place = section * width + h * depth + d;
                    const std::size_t unit = section * width + head_order[h] * depth + (section < 2 ? query_key[d] : value_output[d]);
                    to[2][place] = from[2][unit];
                    for (std::size_t r = 0; r < width; ++r) to[1][r * 3 * width + place] = from[1][r * 3 * width + unit];
                }
                for (std::size_t c = 0; c < width; ++c)
                    to[3][(h * depth + d) * width + c] = from[3][(head_order[h] * depth + value_output[d]) * width + c];
            }
        }
        return to;
    }
};

Order shuffled(std::size_t size, std::uint64_t seed) {
    Order order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937_64 engine(seed);
    std::shuffle(order.begin(), order.end(), engine);
    return order;
}
std::size_t displaced(const Order& order) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < order.size(); ++i) count += order[i] != i;
    return count;
}

std::vector<std::vector<float>> rebasin(const MergeCase& given, std::int64_t heads, const nlohmann::json& setting, nlohmann::json& notes) {
    auto input = given.input("rebasin", setting);
    input.heads = heads;
    std::vector<std::vector<float>> out;
    for (const auto& values : given.base) out.emplace_back(values.size());
    const std::vector<std::span<float>> spans(out.begin(), out.end());
    find_method("rebasin")->merge(input, spans, notes);
    return out;
}

TEST(Rebasin, FindsPlantedOrdersOfNeuronsHeadsAndDimensionsAndSaysHowManyMoved) {
    const Block block;
    MergeCase given;
    given.tensors = block.tensors();
    given.base = block.random(1);
    const auto first = block.random(2);
    const Order neurons = shuffled(20, 3), heads{2, 0, 1}, query_key = shuffled(4, 4), value_output = shuffled(4, 5);
    given.members = {first, block.moved(first, neurons, heads, query_key, value_output)};
    nlohmann::json notes;
    EXPECT_EQ(rebasin(given, 3, {}, notes), first);  // the average of equals
    EXPECT_EQ(notes.at("moved_neurons"), displaced(neurons));
    EXPECT_EQ(notes.at("moved_heads"), 3);
    EXPECT_EQ(notes.at("moved_dimensions"), 3 * (displaced(query_key) + displaced(value_output)));
    EXPECT_EQ(notes.at("neurons"), 20);
    EXPECT_EQ(notes.at("heads"), 3);
    EXPECT_EQ(notes.at("dimensions"), 24);
    // A plain average mixes units that have nothing in common.
    EXPECT_NE(given.merge("average"), first);
}

TEST(Rebasin, FindsThemUnderNoiseInThreeMembers) {
    const Block block;
    MergeCase given;
    given.tensors = block.tensors();
    given.base = block.random(1);
    const auto first = block.random(2), noise = block.random(9);
    auto noisy = first;
    for (std::size_t t = 0; t < noisy.size(); ++t)
        for (std::size_t e = 0; e < noisy[t].size(); ++e) noisy[t][e] += 0.2f * noise[t][e];
    given.members = {first, block.moved(noisy, shuffled(20, 3), {1, 2, 0}, shuffled(4, 4), shuffled(4, 5)),
                     block.moved(noisy, shuffled(20, 6), {0, 2, 1}, shuffled(4, 7), shuffled(4, 8))};
    nlohmann::json notes;
    const auto merged = rebasin(given, 3, {{"weights", {1, 1, 2}}}, notes);
    for (std::size_t t = 0; t < merged.size(); ++t)
        for (std::size_t e = 0; e < merged[t].size(); ++e) ASSERT_NEAR(merged[t][e], first[t][e] + 0.75 * 0.2 * noise[t][e], 1e-5);
    EXPECT_EQ(notes.at("heads"), 6);
    EXPECT_EQ(notes.at("moved_heads"), 5);
}

TEST(Rebasin, MatchesByActivationsWhereTheyAreGiven) {
    // Weights that say "stay", activations that say "change places": neurons 0 and 1 of two.
    MergeCase given;
    given.tensors = {{"h.0.mlp.c_fc.weight", {1, 2}, true}, {"h.0.mlp.c_fc.bias", {2}, false}, {"h.0.mlp.c_proj.weight", {2, 1}, true}};
    given.base = {{0, 0}, {0, 0}, {0, 0}};
    given.members = {{{1, 5}, {1, 5}, {1, 5}}, {{1, 5}, {1, 5}, {1, 5}}};
    const std::vector<std::vector<std::vector<float>>> products{{{}, {}, {}}, {{}, {}, {0, 3, 2, 1}}};
    EXPECT_EQ(merge_with(given, "rebasin", {{"matching", "activations"}}, products)[0], (std::vector<float>{3, 3}));
    EXPECT_EQ(merge_with(given, "rebasin", {}, {})[0], (std::vector<float>{1, 5}));
}

TEST(Rebasin, UnitsWithATensorThatIsNotMergedStay) {
    const Block block;
    MergeCase given;
    given.tensors = block.tensors();
    given.base = block.random(1);
    const auto first = block.random(2);
    given.members = {first, block.moved(first, shuffled(20, 3), {2, 0, 1}, shuffled(4, 4), shuffled(4, 5))};
    const auto drop = [&](std::size_t t) {
        const auto at = static_cast<std::ptrdiff_t>(t);
        given.tensors.erase(given.tensors.begin() + at);
        given.base.erase(given.base.begin() + at);
        for (auto& member : given.members) member.erase(member.begin() + at);
    };
    drop(7);  // mlp.c_proj.weight
    nlohmann::json notes;
    const auto merged = rebasin(given, 3, {}, notes);
    EXPECT_EQ(notes.at("neurons"), 0);
    EXPECT_EQ(notes.at("moved_heads"), 3);
    EXPECT_EQ(merged[5], given.merge("average")[5]);  // mlp.c_fc.weight
    EXPECT_EQ(merged[1], first[1]);
}

TEST(Rebasin, AParentComesBackInItsOwnOrderWhateverTheOtherHolds) {
    const Block block;
    MergeCase given;
    given.tensors = block.tensors();
    given.base = block.random(1);
    const auto first = block.random(2);
    given.members = {first, block.moved(first, shuffled(20, 3), {2, 0, 1}, shuffled(4, 4), shuffled(4, 5))};
    given.members[0][5][0] = std::numeric_limits<float>::quiet_NaN();
    nlohmann::json notes;
    EXPECT_EQ(rebasin(given, 3, {{"alpha", 0.0}}, notes), given.members[1]);
    EXPECT_THROW(rebasin(given, 3, {}, notes), NumericError);
}

TEST(Rebasin, FindsPlantedOrdersAtTheSizeOfGpt2Small) {
    const Block block{768, 12, 3072};
    MergeCase given;
    given.tensors = block.tensors();
    const auto first = block.random(2);
    given.base = first;
    const Order neurons = shuffled(3072, 3), heads = shuffled(12, 6), query_key = shuffled(64, 4), value_output = shuffled(64, 5);
    given.members = {first, block.moved(first, neurons, heads, query_key, value_output)};
    nlohmann::json notes;
    EXPECT_TRUE(rebasin(given, 12, {}, notes) == first);  // too long to print
    EXPECT_EQ(notes.at("moved_neurons"), displaced(neurons));
    EXPECT_EQ(notes.at("moved_heads"), displaced(heads));
}

}  // namespace
}  // namespace cmsweep
