#include <array>

#include "blocks.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "selection.hpp"

namespace cmsweep {
namespace {

/// All members' task vectors of one tensor, block by block: visit(tau, start, count).
template <typename Visit>
void visit_blocks(const ParameterMergeInput& input, std::size_t tensor, TauBlock& tau, Visit&& visit) {
    const PlainTau plain(input);
    std::vector<std::unique_ptr<TauReader>> readers;
    for (std::size_t i = 0; i < input.members.size(); ++i) readers.push_back(plain.open(i, tensor));
    for_blocks(input.base[tensor].size(), [&](std::size_t start, std::size_t count) {
        for (std::size_t i = 0; i < readers.size(); ++i) readers[i]->next(std::span(tau[i]).first(count));
        visit(start, count);
    });
}

/// Variance over the members of one parameter, as a key that orders it.
std::uint32_t variance_key(const TauBlock& tau, std::size_t e) {
    const double n = static_cast<double>(tau.size());
    double mean = 0, variance = 0;
    for (const auto& values : tau) mean += static_cast<double>(values[e]) / n;
    for (const auto& values : tau)
        variance += (static_cast<double>(values[e]) - mean) * (static_cast<double>(values[e]) - mean) / n;
    return magnitude_key(static_cast<float>(variance));
}

/// Select: the variance from which on parameters are kept.
Threshold select(const ParameterMergeInput& input, std::size_t tensor, TauBlock& tau, double share) {
    if (share >= 1) return {0, 0, 0};
    std::array<std::uint32_t, kBlock> keys;
    std::uint64_t varying = 0;
    KeySequence sequence;
    sequence.sizes = {input.base[tensor].size()};
    sequence.for_blocks = [&](std::size_t, std::size_t stride, const KeySequence::Visit& visit) {
        visit_blocks(input, tensor, tau, [&](std::size_t start, std::size_t count) {
            if (!is_sampled(start / kBlock, stride)) return;
            for (std::size_t e = 0; e < count; ++e) keys[e] = variance_key(tau, e);
            visit(std::span(keys).first(count));
        });
    };
    sequence.for_blocks(0, 1, [&](std::span<const std::uint32_t> block) {
        for (const auto key : block) varying += key != 0;
    });
    return select_largest(share_of(share, varying), sequence).front();
}

void sce(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double share = input.setting.at("select_topk");
    const std::size_t n = input.members.size();
    TauBlock tau(n);
    for (std::size_t tensor = 0; tensor < input.tensors.size(); ++tensor) {
        input.safe_point();
        const Threshold threshold = select(input, tensor, tau, share);
        const auto drop_unselected = [&](Keeper& keeper, std::size_t count) {
            if (share >= 1) return;
            for (std::size_t e = 0; e < count; ++e) {
                if (keeper.keeps(variance_key(tau, e))) continue;
                for (auto& values : tau) values[e] = 0;
            }
        };
        // Calculate: each member's coefficient is its share of the squares of what was selected. No bound below which
        // they count as equal: mean squares of light fine-tunings are far below 1e-6.
        std::vector<double> squares(n);
        Keeper first(threshold);
        visit_blocks(input, tensor, tau, [&](std::size_t, std::size_t count) {
            drop_unselected(first, count);
            for (std::size_t i = 0; i < n; ++i) {
                for (std::size_t e = 0; e < count; ++e)
                    squares[i] += static_cast<double>(tau[i][e]) * static_cast<double>(tau[i][e]);
            }
        });
        // Erase what points against the elected sign, and average the rest.
        Keeper second(threshold);
        visit_blocks(input, tensor, tau, [&](std::size_t start, std::size_t count) {
            drop_unselected(second, count);
            for (std::size_t e = 0; e < count; ++e) {
                double elected = 0, sum = 0, weight = 0;
                for (const auto& values : tau) elected += static_cast<double>(values[e]);
                for (std::size_t i = 0; i < n; ++i) {
                    const double value = static_cast<double>(tau[i][e]);
                    if (elected >= 0 ? value <= 0 : value >= 0) continue;
                    sum += squares[i] * value;
                    weight += squares[i];
                }
                const double base = static_cast<double>(input.base[tensor][start + e]);
                out[tensor][start + e] = static_cast<float>(weight > 0 ? base + sum / weight : base);
            }
        });
    }
}

}  // namespace

MethodInfo sce_method() {
    MethodInfo method;
    method.name = "sce";
    method.family = Family::parameter;
    method.parameters = {parameter::real_above(
        "select_topk", 0, 1, 0.1,
        "share of each tensor's varying parameters that is merged, the largest variances over the members")};
    method.least_members = 2;
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "Parameters on which the members differ most are selected, weighted by each member's squares, and minority "
        "signs erased.";
    method.source = "Wan et al. 2024, FuseChat (arXiv:2408.07990), section 3.3";
    method.merge = sce;
    return method;
}

}  // namespace cmsweep
