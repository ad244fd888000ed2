#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/model/predictor.hpp"
#include "cmsweep/model/training.hpp"

namespace cmsweep {

WindowSampler::WindowSampler(std::vector<Source> sources, std::int64_t context, std::int64_t batch, std::uint64_t seed,
                             std::string_view purpose, std::string_view salt)
    : sources_(std::move(sources)), context_(context) {
    double total = 0;
    for (const auto& source : sources_) total += source.share;
    std::vector<double> remainders;
    for (const auto& source : sources_) {
        if (source.split->size() < static_cast<std::uint64_t>(context + 1))
            throw InputError("training text " + source.split->digest().hex() + " has " + std::to_string(source.split->size()) +
                             " tokens: expected at least " + std::to_string(context + 1) + ", one window of context " +
                             std::to_string(context) + "; add text or shorten the context");
        const double exact = static_cast<double>(batch) * source.share / total;
        // A share such as 0.3 has no exact double: 10 x 0.3 must not fall below 3.
        const double whole = std::floor(exact + 1e-9);
        counts_.push_back(static_cast<std::int64_t>(whole));
        remainders.push_back(exact - whole);
        streams_.emplace_back(seed, purpose, std::initializer_list<std::string_view>{source.split->digest().hex(), salt});
    }
    std::vector<std::size_t> order(sources_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return remainders[a] > remainders[b] + 1e-9; });
    const auto missing = batch - std::accumulate(counts_.begin(), counts_.end(), std::int64_t{0});
    for (std::int64_t i = 0; i < missing; ++i) ++counts_[order[static_cast<std::size_t>(i)]];
}

torch::Tensor WindowSampler::next(torch::Device device) {
    std::vector<torch::Tensor> parts;
    for (std::size_t i = 0; i < sources_.size(); ++i) {
        const auto& split = *sources_[i].split;
        std::vector<std::uint64_t> starts(static_cast<std::size_t>(counts_[i]));
        for (auto& start : starts) start = streams_[i].below(split.size() - static_cast<std::uint64_t>(context_));
        parts.push_back(gather_windows(split, starts, context_, device));
    }
    return parts.size() == 1 ? parts.front() : at::cat(parts);
}

std::int64_t WindowSampler::windows_from(const Id& split) const {
    std::int64_t windows = 0;
    for (std::size_t i = 0; i < sources_.size(); ++i)
        if (sources_[i].split->digest() == split) windows += counts_[i];
    return windows;
}

std::string WindowSampler::state() const {
    auto state = nlohmann::json::array();
    for (const auto& stream : streams_) state.push_back(stream.state());
    return state.dump();
}

void WindowSampler::restore(const std::string& state) {
    const auto states = nlohmann::json::parse(state);
    for (std::size_t i = 0; i < streams_.size(); ++i) streams_[i].restore(states.at(i).get<std::string>());
}

}  // namespace cmsweep
