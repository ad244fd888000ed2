#include "blocks.hpp"
#include "methods.hpp"
#include "parameters.hpp"
#include "selection.hpp"

namespace cmsweep {
namespace {

/// Keeps the magnitudes of a tensor that lie below its largest `outliers` and above the rest.
class BandReader final : public TauReader {
public:
    BandReader(std::unique_ptr<TauReader> reader, const Threshold& outliers, const Threshold& kept)
        : reader_(std::move(reader)), outliers_(outliers), kept_(kept) {}
    void next(std::span<float> out) override {
        reader_->next(out);
        for (float& value : out) {
            const auto key = magnitude_key(value);
            const bool outlier = outliers_.keeps(key);
            const bool large_enough = kept_.keeps(key);
            if (outlier || !large_enough) value = 0;
        }
    }

private:
    std::unique_ptr<TauReader> reader_;
    Keeper outliers_;
    Keeper kept_;
};

class BandTau final : public TauSource {
public:
    BandTau(const ParameterMergeInput& input, double density, double gamma)
        : input_(input), plain_(input), density_(density), gamma_(gamma) {}

    std::unique_ptr<TauReader> open(std::size_t member, std::size_t tensor) const override {
        const std::uint64_t elements = input_.base[tensor].size();
        const std::uint64_t kept = share_of(density_, elements);
        const std::uint64_t outliers = std::min(share_of(gamma_, elements), elements - kept);
        return std::make_unique<BandReader>(plain_.open(member, tensor), threshold(member, tensor, outliers),
                                            threshold(member, tensor, outliers + kept));
    }

private:
    Threshold threshold(std::size_t member, std::size_t tensor, std::uint64_t keep) const {
        return select_largest(keep, magnitudes(input_, plain_, member, tensor, tensor + 1)).front();
    }

    const ParameterMergeInput& input_;
    PlainTau plain_;
    double density_, gamma_;
};

void breadcrumbs(const ParameterMergeInput& input, std::span<const std::span<float>> out, nlohmann::json&) {
    const double lambda = input.setting.at("lambda");
    const BandTau band(input, input.setting.at("density"), input.setting.at("gamma"));
    merge_by_sum(input, band, std::vector<double>(input.members.size(), lambda), out);
}

}  // namespace

MethodInfo breadcrumbs_method() {
    MethodInfo method;
    method.name = "breadcrumbs";
    method.family = Family::parameter;
    method.parameters = {
        parameter::real_above("density", 0, 1, 0.143,
                              "share of each tensor's entries that is kept; the paper's percentiles 85 to 99.3"),
        parameter::real("gamma", 0, 1, 0.007, "share of the largest entries that is removed first"),
        parameter::real("lambda", 0, 100, 0.3, "scale of the sum of task vectors"),
    };
    method.needs_base = true;
    method.identities = {"symmetric", "base"};
    method.summary = "Task arithmetic without each tensor's outliers and small entries.";
    method.source = "Davari and Belilovsky 2024, Model Breadcrumbs (arXiv:2312.06795), section 3";
    method.merge = breadcrumbs;
    return method;
}

}  // namespace cmsweep
