#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/core/merge/weights.hpp"

namespace cmsweep {

/// A small model to merge: tensors with names and shapes, values of the base and of the members, all owned here.
struct MergeCase {
    std::vector<MergeTensor> tensors;
    std::vector<std::vector<float>> base;                  ///< one vector a tensor
    std::vector<std::vector<std::vector<float>>> members;  ///< members[i][tensor]
    std::uint64_t seed = 0;
    std::vector<std::string> member_keys;                  ///< empty: the members' indices

    /// One tensor of shape [1, n] with these values.
    static MergeCase single(std::vector<float> base_values, std::vector<std::vector<float>> member_values) {
        MergeCase made;
        made.tensors.push_back({"h.0.mlp.c_fc.weight", {1, static_cast<std::int64_t>(base_values.size())}, false});
        made.base.push_back(std::move(base_values));
        for (auto& values : member_values) made.members.push_back({std::move(values)});
        return made;
    }

    /// Normal base, members = base + 0.05 x normal; a few tensors of GPT-2's kinds: two matrices, a bias, a vector.
    static MergeCase random(std::size_t members, std::uint64_t seed = 1) {
        MergeCase made;
        made.tensors = {{"h.0.attn.c_attn.weight", {8, 24}, true},
                        {"h.0.attn.c_attn.bias", {24}, false},
                        {"h.0.mlp.c_fc.weight", {8, 32}, true},
                        {"h.0.ln_2.weight", {8}, false}};
        made.seed = seed;
        std::mt19937_64 engine(seed);
        std::normal_distribution<float> normal;
        made.members.resize(members);
        for (const auto& tensor : made.tensors) {
            std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
            for (auto& value : values) value = normal(engine);
            for (auto& member : made.members) {
                auto& copy = member.emplace_back(values);
                for (auto& value : copy) value += 0.05f * normal(engine);
            }
            made.base.push_back(std::move(values));
        }
        return made;
    }

    /// The same with a whole MLP, so that it has units that can move, and with named members. The last member's first two
    /// neurons have changed places.
    static MergeCase named_with_units(std::size_t members, std::uint64_t seed = 1) {
        auto made = random(members, seed);
        std::mt19937_64 engine(seed + 1);
        std::normal_distribution<float> normal;
        made.tensors.push_back({"h.0.mlp.c_fc.bias", {32}, false});
        made.tensors.push_back({"h.0.mlp.c_proj.weight", {32, 8}, true});
        for (const std::size_t size : {32U, 32U * 8U}) {
            std::vector<float> values(size);
            for (auto& value : values) value = normal(engine);
            for (auto& member : made.members) {
                auto& copy = member.emplace_back(values);
                for (auto& value : copy) value += 0.05f * normal(engine);
            }
            made.base.push_back(std::move(values));
        }
        auto& last = made.members.back();
        for (std::size_t row = 0; row < 8; ++row) std::swap(last[2][row * 32], last[2][row * 32 + 1]);
        std::swap(last[4][0], last[4][1]);
        std::swap_ranges(last[5].begin(), last[5].begin() + 8, last[5].begin() + 8);
        for (std::size_t i = 0; i < members; ++i) made.member_keys.push_back("member " + std::to_string(i));
        return made;
    }

    /// A 3 x 4 matrix with three members, for which the golden vectors of the tests were computed: transcriptions of
    /// the references' formulas (mergekit 0.1, FusionBench 0.2, the repositories of TSV-Merge and Iso-C) to numpy in
    /// float64.
    static MergeCase golden() {
        auto made = single({0.5f, -0.25f, 0.75f, 1.0f, -1.5f, 0.125f, 0.375f, -0.625f, 0.25f, 0.875f, -0.5f, 0.0f}, {});
        made.tensors[0].shape = {3, 4};
        for (const auto& tau : golden_task_vectors()) {
            auto& member = made.members.emplace_back(made.base);
            for (std::size_t e = 0; e < tau.size(); ++e) member[0][e] += tau[e];
        }
        return made;
    }
    static std::vector<std::vector<float>> golden_task_vectors() {
        return {{0.08f, -0.02f, 0.005f, 0.12f, -0.05f, 0.03f, -0.09f, 0.01f, 0.07f, -0.11f, 0.02f, 0.04f},
                {0.06f, 0.03f, -0.15f, 0.01f, 0.02f, -0.08f, -0.04f, 0.13f, -0.09f, 0.05f, 0.1f, -0.01f},
                {-0.01f, 0.14f, 0.04f, -0.07f, -0.12f, 0.02f, 0.06f, 0.09f, 0.03f, -0.045f, 0.11f, 0.05f}};
    }
    /// The golden task vectors, times ten, as the members themselves.
    static MergeCase golden_directions() {
        auto made = golden();
        const auto task_vectors = golden_task_vectors();
        for (std::size_t i = 0; i < 3; ++i) {
            made.members[i][0] = task_vectors[i];
            for (float& value : made.members[i][0]) value *= 10;
        }
        return made;
    }

    ParameterMergeInput input(const std::string& name, const nlohmann::json& given = nlohmann::json::object()) const {
        ParameterMergeInput made;
        made.tensors = tensors;
        made.base = view(base);
        for (const auto& member : members) made.members.push_back(view(member));
        made.setting = complete_setting(find_method(name)->parameters, given);
        made.weights = member_weights(made.setting, members.size());
        made.seed = seed;
        made.member_keys = member_keys;
        return made;
    }

    static TensorValues view(const std::vector<std::vector<float>>& values) { return {values.begin(), values.end()}; }

    /// Runs a method of the registry with `given` parameters, the rest at their defaults.
    std::vector<std::vector<float>> merge(const std::string& name,
                                          const nlohmann::json& given = nlohmann::json::object(),
                                          nlohmann::json* notes = nullptr) const {
        std::vector<std::vector<float>> out;
        for (const auto& values : base) out.emplace_back(values.size());
        const std::vector<std::span<float>> spans(out.begin(), out.end());
        nlohmann::json discarded = nlohmann::json::object();
        find_method(name)->merge(input(name, given), spans, notes != nullptr ? *notes : discarded);
        return out;
    }
};

/// Each value near its golden one: inputs are rounded to float32 (3e-8 near 1), results once more.
inline testing::Matcher<std::vector<float>> near(const std::vector<float>& expected, double tolerance = 1e-6) {
    std::vector<testing::Matcher<float>> each;
    for (const float value : expected) each.push_back(testing::FloatNear(value, static_cast<float>(tolerance)));
    return testing::ElementsAreArray(each);
}

/// The same matrix stored the other way round, as GPT-2 stores linear weights.
template <typename Value>
std::vector<Value> transpose(const std::vector<Value>& values, std::size_t rows, std::size_t columns) {
    std::vector<Value> result(values.size());
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c < columns; ++c) result[c * rows + r] = values[r * columns + c];
    }
    return result;
}

}  // namespace cmsweep
