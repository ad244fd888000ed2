#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "cmsweep/base/random.hpp"
#include "cmsweep/model/corpus.hpp"
#include "cmsweep/model/network.hpp"

namespace cmsweep {

/// A folder of one test, removed at its end.
class ScratchFolder {
public:
    ScratchFolder() {
        const auto* test = testing::UnitTest::GetInstance()->current_test_info();
        path_ = std::filesystem::temp_directory_path() /
                ("cmsweep-" + std::string(test->test_suite_name()) + "-" + test->name() + "-" + std::to_string(::getpid()));
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~ScratchFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchFolder(const ScratchFolder&) = delete;
    ScratchFolder& operator=(const ScratchFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }

private:
    std::filesystem::path path_;
};

inline Geometry small_geometry() {
    Geometry geometry;
    geometry.blocks = 2;
    geometry.width = 12;
    geometry.heads = 3;
    geometry.context = 16;
    geometry.vocabulary = 20;
    geometry.inner = 48;
    return geometry;
}

/// Parameters of a size that makes every part of the network matter: GPT-2's own start has biases 0 and logits near 0.
inline Parameters lively_parameters(const Geometry& geometry, std::uint64_t seed) {
    std::map<std::string, at::Tensor, std::less<>> tensors;
    for (const auto& spec : tensor_specs(geometry)) {
        Stream stream(seed, "lively", {spec.name});
        auto tensor = at::empty(spec.shape, at::kFloat);
        const bool norm = spec.shape.size() == 1 && spec.name.ends_with("weight");
        const double deviation = spec.shape.size() == 1 ? 0.2 : 1.0 / std::sqrt(static_cast<double>(geometry.width));
        for (std::int64_t i = 0; i < tensor.numel(); ++i)
            tensor.data_ptr<float>()[i] = static_cast<float>((norm ? 1.0 : 0.0) + deviation * stream.normal());
        tensors.emplace(spec.name, std::move(tensor));
    }
    return {geometry, std::move(tensors)};
}

inline at::Tensor random_ids(std::int64_t rows, std::int64_t columns, std::int64_t vocabulary, std::uint64_t seed) {
    Stream stream(seed, "ids");
    auto ids = at::empty({rows, columns}, at::kLong);
    for (std::int64_t i = 0; i < ids.numel(); ++i)
        ids.data_ptr<std::int64_t>()[i] = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(vocabulary)));
    return ids;
}

/// A split of `tokens` tokens in which each token mostly follows from the one before, so that there is something to learn.
inline StoredSplit make_split(const std::filesystem::path& folder, std::size_t tokens, std::uint32_t vocabulary, std::uint64_t seed) {
    Stream stream(seed, "split");
    TokenSplit split;
    std::uint32_t token = 0;
    for (std::size_t i = 0; i < tokens; ++i) {
        token = stream.uniform() < 0.8 ? (token * 3 + 1 + static_cast<std::uint32_t>(seed)) % vocabulary
                                       : static_cast<std::uint32_t>(stream.below(vocabulary));
        split.tokens.push_back(token);
    }
    split.document_starts = {0, tokens / 2};
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(split.tokens)));
    split.digest = hasher.digest();
    write_split(folder, split);
    return {folder, split.digest};
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
    return a.sizes() == b.sizes() && at::equal(a, b);
}

inline bool same_bits(const Parameters& a, const Parameters& b) {
    if (a.tensors().size() != b.tensors().size()) return false;
    for (const auto& [name, tensor] : a.tensors())
        if (!same_bits(tensor, b[name])) return false;
    return true;
}

}  // namespace cmsweep
