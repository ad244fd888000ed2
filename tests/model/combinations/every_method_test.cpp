#include <algorithm>
#include <cmath>

#include "cmsweep/base/error.hpp"
#include "combination_case.hpp"

namespace cmsweep {
namespace {

/// Rounding of losses through a network of four blocks; members differ by over 0.1.
constexpr double kEqual = 1e-4;

/// The claims of every line of the registry, tried on networks in which all tensors differ: what a line claims holds, and what
/// it does not claim fails. Reference rows are models themselves and claim nothing but their order.
class EveryMethod : public CombinationCase, public testing::WithParamInterface<std::string> {
protected:
    EveryMethod() {
        const auto first = specialist(*base, 21, "all"), second = specialist(*base, 22, "all"), third = specialist(*base, 23, "all");
        // Two neurons of the last member have changed places, for methods that see to that.
        auto turned = std::make_shared<Parameters>(*third);
        const auto swap = at::cat({at::tensor({1, 0}, at::kLong), at::arange(2, 48, at::kLong)});
        turned->set("h.1.mlp.c_fc.weight", (*third)["h.1.mlp.c_fc.weight"].index_select(1, swap));
        turned->set("h.1.mlp.c_fc.bias", (*third)["h.1.mlp.c_fc.bias"].index_select(0, swap));
        turned->set("h.1.mlp.c_proj.weight", (*third)["h.1.mlp.c_proj.weight"].index_select(0, swap));
        members = {first, turned, second};
        if (method().most_members < 3) members.pop_back();
    }

    const MethodInfo& method() const { return *find_method(GetParam()); }
    bool claims(const std::string& identity) const {
        return std::find(method().identities.begin(), method().identities.end(), identity) != method().identities.end();
    }
    bool has(const std::string& parameter) const {
        return std::any_of(method().parameters.begin(), method().parameters.end(), [&](const auto& spec) { return spec.name == parameter; });
    }
    bool is_reference() const { return method().family == Family::reference; }

    Combination made(nlohmann::json setting = nlohmann::json::object(), BlockRange blocks = {0, 3, true}) const {
        for (const auto* few : {"steps", "windows"})
            if (has(few)) setting.emplace(few, 3);
        if (has("batch")) setting.emplace("batch", 2);
        auto given = input(GetParam(), setting, blocks);
        given.host = host;
        for (const auto& member : members) given.member_keys.push_back(std::to_string((*member)["wpe.weight"].sum().item<float>()));
        return combine(given);
    }
    /// How far two combinations are apart: merged networks in their parameters, others in their losses.
    double distance(const Combination& a, const Combination& b) const {
        if (!a.merged) return (losses(a) - losses(b)).abs().max().item<double>();
        double largest = 0;
        for (const auto& [name, tensor] : a.merged->tensors()) largest = std::max(largest, (tensor - (*b.merged)[name]).abs().max().item<double>());
        return largest;
    }

    /// The stream after every block.
    std::vector<at::Tensor> streams(const Predictor& predictor) const {
        const at::NoGradGuard no_grad;
        Batch batch(windows);
        std::vector<at::Tensor> seen;
        ForwardHooks hooks;
        hooks.residual = [&](std::int64_t, const at::Tensor& stream) { seen.push_back(stream); };
        EXPECT_TRUE(predictor.show_stream(batch, hooks));
        return seen;
    }

    std::shared_ptr<const Parameters> host = specialist(*base, 21, "all");
};

TEST_P(EveryMethod, ReturnsEqualMembersExactlyIfItSaysSo) {
    for (auto& member : members) member = members[0];
    host = members[0];
    // A method without the claim may return them at its defaults; then a setting that does not.
    const nlohmann::json witness = GetParam() == "route" ? nlohmann::json{{"top_k", 1}} : nlohmann::json::object();
    const auto difference = (losses(made(witness)) - losses(members[0])).abs().max().item<double>();
    if (claims("equal_members")) {
        EXPECT_LE(difference, kEqual);
    } else if (!is_reference()) {
        EXPECT_GT(difference, kEqual);
    }
}

TEST_P(EveryMethod, ReturnsAMemberOfWeightOneBitForBitExactlyIfItSaysSo) {
    if (!has("alpha") && !has("weights")) {
        EXPECT_FALSE(claims("parents"));
        return;
    }
    members.resize(2);
    bool all = true;
    for (const std::size_t i : {0, 1}) {
        const nlohmann::json only = has("alpha") ? nlohmann::json{{"alpha", i == 0 ? 1.0 : 0.0}} : nlohmann::json{{"weights", {i == 0 ? 1 : 0, i == 1 ? 1 : 0}}};
        all = all && same_bits(losses(made(only)), losses(members[i]));
    }
    EXPECT_EQ(all, claims("parents"));
}

TEST_P(EveryMethod, IgnoresTheOrderOfMembersExactlyIfItSaysSo) {
    const auto forward_order = made();
    std::reverse(members.begin(), members.end());
    const double difference = distance(forward_order, made());
    if (claims("symmetric")) {
        EXPECT_LE(difference, kEqual);
    } else if (GetParam() != "base") {  // which has no members
        EXPECT_GT(difference, kEqual);
    }
}

TEST_P(EveryMethod, ReturnsTheBaseIfNoMemberMovedAndItSaysSo) {
    for (auto& member : members) member = base;
    host = base;
    if (claims("base")) {
        EXPECT_TRUE(same_bits(losses(made()), losses(base)));
    }
}

TEST_P(EveryMethod, ChangesTheChosenBlocksOfAnyHostAndNothingElse) {
    if (is_reference() || method().family == Family::output) return;  // without a place
    for (const auto& other : {members[1], base, specialist(*base, 33, "all")}) {
        host = other;
        const auto own = streams(NetworkPredictor(host));
        for (const BlockRange blocks : {BlockRange{0, 0, false}, BlockRange{2, 2, false}, BlockRange{1, 2, false}, BlockRange{0, 3, false}}) {
            const auto combination = made(nlohmann::json::object(), blocks);
            const auto seen = streams(*combination.predictor);
            ASSERT_EQ(seen.size(), own.size());
            for (std::int64_t b = 0; b < 4; ++b) {
                const auto i = static_cast<std::size_t>(b);
                EXPECT_EQ(same_bits(seen[i], own[i]), b < blocks.first) << "after block " << b << ", chosen " << blocks.first << " to " << blocks.last;
            }
            if (!combination.merged) continue;
            for (const auto& [name, tensor] : combination.merged->tensors()) {
                const auto block = block_of(name);
                if (block < blocks.first || block > blocks.last) {
                    EXPECT_TRUE(tensor.is_same((*host)[name])) << name;
                }
            }
        }
    }
}

TEST_P(EveryMethod, CostsOneNetworkIfItIsOne) {
    if (!is_reference() && method().family != Family::parameter) return;  // those have tests of their own
    const auto cost = made().predictor->cost(kContext);
    // wte 240, wpe 192, 4 blocks of (2 norms 48, attention 432 + 36 + 144 + 12, MLP 576 + 48 + 576 + 12), final norm 24
    EXPECT_EQ(cost.stored, 240 + 192 + 4 * (48 + 624 + 1212) + 24);
    EXPECT_EQ(cost.active, 240 + 12 + 4 * (48 + 624 + 1212) + 24);  // one row of wpe; wte is the head
    // 4 blocks of 2 x (12 x 36 + 12 x 12) for the maps, 2 x 12 x 9 for the attention, 2 x 2 x 12 x 48 for the MLP; head 2 x 12 x 20
    EXPECT_EQ(cost.flops_per_token, 4 * (1152 + 216 + 2304) + 480);
}

TEST_P(EveryMethod, FailsWhereAMemberHoldsNoNumbers) {
    if (is_reference()) return;
    auto broken = std::make_shared<Parameters>(*members[1]);
    auto weight = (*broken)["h.1.mlp.c_fc.weight"].clone();
    weight.data_ptr<float>()[5] = std::nanf("");  // one is enough
    broken->set("h.1.mlp.c_fc.weight", weight);
    members[1] = broken;
    if (method().family == Family::parameter) {
        EXPECT_THROW(made(), NumericError);
        return;
    }
    bool failed = false;
    try {
        failed = !std::isfinite(losses(made()).sum().item<double>());
    } catch (const NumericError&) {
        failed = true;
    }
    EXPECT_TRUE(failed);
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryMethod, testing::ValuesIn([] {
                             std::vector<std::string> names;
                             for (const auto& method : merge_methods()) names.push_back(method.name);
                             return names;
                         }()),
                         [](const auto& method) { return method.param; });

}  // namespace
}  // namespace cmsweep
