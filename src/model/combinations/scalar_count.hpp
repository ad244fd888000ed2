#pragma once

#include <algorithm>
#include <cstdint>
#include <map>

#include <torch/types.h>

#include "cmsweep/model/network.hpp"

namespace cmsweep {

/// Counts the scalars of tensors, a tensor that several networks share (by where its data lies) once.
class ScalarCount {
public:
    void add(const torch::Tensor& tensor) { add(tensor, tensor.numel()); }

    /// Only `scalars` of the tensor are used: one row of an embedding.
    void add(const torch::Tensor& tensor, std::int64_t scalars) {
        auto& counted = scalars_[tensor.data_ptr()];
        counted = std::max(counted, scalars);
    }

    /// All tensors of a network whose name `wanted` accepts.
    template <typename Wanted>
    void add_stored(const Parameters& network, const Wanted& wanted) {
        for (const auto& [name, tensor] : network.tensors())
            if (wanted(name)) add(tensor);
    }

    /// The same, as far as one token uses them: its row of wpe and, where the head is not wte itself, of wte.
    template <typename Wanted>
    void add_active(const Parameters& network, const Wanted& wanted) {
        for (const auto& [name, tensor] : network.tensors()) {
            const bool looked_up = name == "wpe.weight" || (name == "wte.weight" && !network.geometry().tied);
            if (wanted(name)) add(tensor, looked_up ? network.geometry().width : tensor.numel());
        }
    }

    std::int64_t total() const {
        std::int64_t sum = 0;
        for (const auto& [place, scalars] : scalars_) sum += scalars;
        return sum;
    }

private:
    std::map<const void*, std::int64_t> scalars_;
};

/// Accepts every name.
inline constexpr auto kEveryTensor = [](const auto&) { return true; };

}  // namespace cmsweep
