#include "della.hpp"

#include "consensus.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "selection.hpp"

namespace cmsweep {
namespace {

struct Pruning {
    double density;
    double epsilon;
    bool paper;  ///< else mergekit's

    /// Probability with which the entry of rank r (0: the largest magnitude) of n in its row is kept.
    double keep(std::size_t r, std::size_t n) const {
        if (density >= 1) return 1;
        if (paper) {
            // p_i = p_min + (epsilon / n) r_i with p_min = (1 - density) - epsilon / 2
            return 1 - (1 - density - epsilon / 2 + epsilon * static_cast<double>(r) / static_cast<double>(n));
        }
        if (n == 1) return density;
        return density - epsilon + 2 * epsilon * static_cast<double>(n - 1 - r) / static_cast<double>(n - 1);
    }
};

/// Prunes whole rows: a row of the untransposed weight at a time, or, where rows lie across storage, the whole tensor.
class PruneReader final : public TauReader {
public:
    PruneReader(const MergeTensor& tensor, std::unique_ptr<TauReader> reader, std::unique_ptr<Draws> draws,
                const Pruning& pruning, double scale)
        : reader_(std::move(reader)), draws_(std::move(draws)), pruning_(pruning), scale_(scale) {
        const auto columns = static_cast<std::size_t>(tensor.shape.empty() ? 1 : tensor.shape.back());
        const auto elements = static_cast<std::size_t>(tensor.elements());
        rows_ = tensor.transposed ? columns : 1;
        stride_ = tensor.transposed ? columns : 1;
        chunk_.resize(tensor.transposed ? elements : columns);
        at_ = chunk_.size();
    }

    void next(std::span<float> out) override {
        for (std::size_t done = 0; done < out.size();) {
            if (at_ == chunk_.size()) load();
            const std::size_t count = std::min(out.size() - done, chunk_.size() - at_);
            std::copy_n(chunk_.begin() + static_cast<std::ptrdiff_t>(at_), count,
                        out.begin() + static_cast<std::ptrdiff_t>(done));
            at_ += count;
            done += count;
        }
    }

private:
    void load() {
        numbers_.resize(chunk_.size());
        for_blocks(chunk_.size(), [&](std::size_t start, std::size_t count) {
            reader_->next(std::span(chunk_).subspan(start, count));
            draws_->next(std::span(numbers_).subspan(start, count));
        });
        for (std::size_t row = 0; row < rows_; ++row) prune_row(row);
        at_ = 0;
    }

    void prune_row(std::size_t row) {
        const std::size_t n = chunk_.size() / rows_;
        order_.resize(n);
        // Larger magnitudes first, equal ones in order.
        for (std::size_t i = 0; i < n; ++i) {
            order_[i] = std::uint64_t{~magnitude_key(chunk_[row + i * stride_])} << 32 | static_cast<std::uint32_t>(i);
        }
        std::sort(order_.begin(), order_.end());
        for (std::size_t r = 0; r < n; ++r) {
            const std::size_t at = row + (order_[r] & 0xffffffffU) * stride_;
            const double keep = std::clamp(pruning_.keep(r, n), 0.0, 1.0);
            const double scale = pruning_.paper ? 1 / keep : scale_;
            chunk_[at] =
                numbers_[at] < keep_limit(keep) ? static_cast<float>(static_cast<double>(chunk_[at]) * scale) : 0.0f;
        }
    }

    std::unique_ptr<TauReader> reader_;
    std::unique_ptr<Draws> draws_;
    Pruning pruning_;
    double scale_;
    std::size_t rows_, stride_, at_;
    std::vector<float> chunk_;
    std::vector<std::uint32_t> numbers_;
    std::vector<std::uint64_t> order_;
};

class PrunedTau final : public TauSource {
public:
    PrunedTau(const ParameterMergeInput& input, const DrawSource& draws, const Pruning& pruning)
        : input_(input), plain_(input), draws_(draws), pruning_(pruning) {}

    std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const override {
        if (pruning_.paper) return reader(member, tensor, 1);
        return reader(member, tensor,
                      l1_ratio(*plain_.open(member, tensor), *reader(member, tensor, 1), input_.base[tensor].size()));
    }

private:
    std::unique_ptr<TauReader> reader(std::size_t member, std::size_t tensor, double scale) const {
        return std::make_unique<PruneReader>(input_.tensors[tensor], plain_.open(member, tensor),
                                             draws_(member, tensor), pruning_, scale);
    }

    const ParameterMergeInput& input_;
    PlainTau plain_;
    const DrawSource& draws_;
    Pruning pruning_;
};

void della_from_streams(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    della(input, stream_draws(input), out);
}

}  // namespace

void della(const ParameterMergeInput& input, const DrawSource& draws, std::span<const std::span<float>> out) {
    const bool paper = input.setting.at("reference") == "paper";
    const PrunedTau pruned(input, draws, {input.setting.at("density"), input.setting.at("epsilon"), paper});
    merge_by_consensus(input, pruned, {.mean = true, .zero_is_positive = !paper, .lambda = input.setting.at("lambda")},
                       out);
}

MethodInfo della_method() {
    MethodInfo method;
    method.name = "della";
    method.family = Family::parameter;
    method.version = 2;
    method.parameters = {
        parameter::real_above("density", 0, 1, 0.3,
                              "mean probability with which an entry of a task vector is kept; 1 drops nothing"),
        parameter::real(
            "epsilon", 0, 1, 0.2,
            "spread of the probabilities over the ranks of a row: in all (paper), or to each side (mergekit)"),
        parameter::real("lambda", 0, 100, 1.0, "scale of the merged task vector"),
        parameter::weights(),
        parameter::choice("reference", {"paper", "mergekit"}, "paper",
                          "what is kept is divided by its probability, or brought to each tensor's L1 norm"),
    };
    method.needs_base = true;
    method.draws = true;
    method.identities = {"symmetric", "base"};
    method.summary =
        "Entries of the task vectors are dropped at random, small ones of a row more often; then TIES' election and "
        "mean.";
    method.source = "Deep et al. 2024, DELLA-Merging (arXiv:2406.11617), section 3";
    method.merge = della_from_streams;
    return method;
}

}  // namespace cmsweep
