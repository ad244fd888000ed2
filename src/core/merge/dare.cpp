#include "dare.hpp"

#include <bit>
#include <limits>

#include "consensus.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "trim.hpp"

namespace cmsweep {
namespace {

class DropReader final : public TauReader {
public:
    DropReader(std::unique_ptr<TauReader> reader, std::unique_ptr<Draws> draws, double density, double scale)
        : reader_(std::move(reader)),
          draws_(std::move(draws)),
          limit_(keep_limit(density)),
          scale_(static_cast<float>(scale)) {}
    void next(std::span<float> out) override {
        reader_->next(out);
        const auto numbers = std::span(block_).first(out.size());
        draws_->next(numbers);
        if (limit_ > std::numeric_limits<std::uint32_t>::max()) {
            for (float& value : out) value *= scale_;
            return;
        }
        // A mask instead of a condition, and signed, as SSE2 compares integers: several entries at once.
        const auto ordered = [](std::uint64_t number) { return static_cast<std::int32_t>(static_cast<std::uint32_t>(number) ^ 0x80000000U); };
        const std::int32_t limit = ordered(limit_);
        const float scale = scale_;
        float* const values = out.data();
        for (std::size_t e = 0; e < out.size(); ++e) {
            const auto kept = static_cast<std::uint32_t>(-static_cast<std::int32_t>(ordered(numbers[e]) < limit));
            values[e] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(values[e] * scale) & kept);
        }
    }

private:
    std::unique_ptr<TauReader> reader_;
    std::unique_ptr<Draws> draws_;
    std::uint64_t limit_;
    float scale_;
    std::array<std::uint32_t, kBlock> block_;
};

/// Task vectors of which each entry is kept with probability `density`, and rescaled.
class DroppedTau final : public TauSource {
public:
    DroppedTau(const ParameterMergeInput& input, const DrawSource& draws, double density, bool match_l1)
        : input_(input), plain_(input), draws_(draws), density_(density), match_l1_(match_l1) {}

    std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const override {
        if (!match_l1_) return reader(member, tensor, 1 / density_);
        return reader(member, tensor,
                      l1_ratio(*plain_.open(member, tensor), *reader(member, tensor, 1), input_.base[tensor].size()));
    }

private:
    std::unique_ptr<TauReader> reader(std::size_t member, std::size_t tensor, double scale) const {
        return std::make_unique<DropReader>(plain_.open(member, tensor), draws_(member, tensor), density_, scale);
    }

    const ParameterMergeInput& input_;
    PlainTau plain_;
    const DrawSource& draws_;
    double density_;
    bool match_l1_;
};

void dare_from_streams(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    dare(input, stream_draws(input), out);
}

}  // namespace

void dare(const ParameterMergeInput& input, const DrawSource& draws, std::span<const std::span<float>> out) {
    const double lambda = input.setting.at("lambda");
    const DroppedTau dropped(input, draws, input.setting.at("density"), input.setting.at("reference") == "mergekit");
    if (input.setting.at("combine") == "linear") {
        auto coefficients = relative_weights(input.weights);
        for (double& coefficient : coefficients) coefficient *= lambda / static_cast<double>(coefficients.size());
        merge_by_sum(input, dropped, coefficients, out);
    } else {
        const MagnitudeTrim trimmed(input, dropped, input.setting.at("trim"), MagnitudeTrim::Scope::model);
        merge_by_consensus(input, trimmed, {.mean = true, .zero_is_positive = false, .lambda = lambda}, out);
    }
}

MethodInfo dare_method() {
    MethodInfo method;
    method.name = "dare";
    method.family = Family::parameter;
    method.version = 2;
    method.parameters = {
        parameter::real_above("density", 0, 1, 0.1, "probability with which an entry of a task vector is kept"),
        parameter::choice("combine", {"linear", "ties"}, "linear",
                          "weighted mean of the task vectors, or TIES in full"),
        parameter::real_above("trim", 0, 1, 0.2, "combine = \"ties\": share that TIES keeps, the largest magnitudes"),
        parameter::real("lambda", 0, 100, 1.0, "scale of the merged task vector"),
        parameter::weights(),
        parameter::choice("reference", {"paper", "mergekit"}, "paper",
                          "what is kept is multiplied by 1 / density, or brought to each tensor's L1 norm"),
    };
    method.needs_base = true;
    method.draws = true;
    method.identities = {"symmetric", "base"};
    method.summary = "Entries of the task vectors are dropped at random and the rest rescaled before they are merged.";
    method.source = "Yu et al. 2024, Language models are super Mario (arXiv:2311.03099), section 3";
    method.merge = dare_from_streams;
    return method;
}

}  // namespace cmsweep
