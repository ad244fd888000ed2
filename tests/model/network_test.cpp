#include "cmsweep/model/network.hpp"

#include <cmath>
#include <cstdlib>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/safetensors.hpp"
#include "cmsweep/model/device.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

struct Shape {
    const char* name;
    std::int64_t blocks, width, heads, context, vocabulary, inner;
    const char* activation;
    bool tied;
    double epsilon = 1e-5;
};

class NetworkParity : public testing::TestWithParam<Shape> {};

/// Runs the NumPy oracle on a checkpoint and cases that lie in `folder`; its exit status.
int run_oracle(const std::filesystem::path& folder, const char* tolerance) {
    const auto command = std::string(CMSWEEP_PYTHON) + " '" + CMSWEEP_MODEL_TESTS + "/gpt2_numpy.py' '" + folder.string() + "' '" +
                         (folder / "cases.safetensors").string() + "' " + tolerance;
    return std::system(command.c_str());
}

void write_cases(const std::filesystem::path& file, const Parameters& parameters, double disturbance = 0) {
    const auto& geometry = parameters.geometry();
    std::vector<at::Tensor> held;
    std::vector<TensorToWrite> tensors;
    int index = 0;
    for (const std::int64_t length : {std::int64_t{1}, geometry.context / 2, geometry.context}) {
        const auto ids = random_ids(2, length, geometry.vocabulary, static_cast<std::uint64_t>(length));
        const auto logits = (forward(parameters, ids) + disturbance).contiguous();
        held.insert(held.end(), {ids, logits});
        tensors.push_back({"ids." + std::to_string(index), "I64", ids.sizes().vec(),
                           std::as_bytes(std::span(ids.data_ptr<std::int64_t>(), static_cast<std::size_t>(ids.numel())))});
        tensors.push_back({"logits." + std::to_string(index), "F32", logits.sizes().vec(),
                           std::as_bytes(std::span(logits.data_ptr<float>(), static_cast<std::size_t>(logits.numel())))});
        ++index;
    }
    write_safetensors(file, tensors);
}

// Float32 against float64 in networks of these depths: the worst difference is about 1e-5.
TEST_P(NetworkParity, LogitsEqualTheNumpyReference) {
    const auto& shape = GetParam();
    Geometry geometry;
    geometry.blocks = shape.blocks;
    geometry.width = shape.width;
    geometry.heads = shape.heads;
    geometry.context = shape.context;
    geometry.vocabulary = shape.vocabulary;
    geometry.inner = shape.inner;
    geometry.activation = shape.activation;
    geometry.tied = shape.tied;
    geometry.layer_norm_epsilon = shape.epsilon;
    const auto parameters = lively_parameters(geometry, 1);
    const ScratchFolder folder;
    save_checkpoint(folder.path(), parameters);
    write_cases(folder.path() / "cases.safetensors", parameters);
    EXPECT_EQ(run_oracle(folder.path(), "1e-4"), 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, NetworkParity,
                         testing::Values(Shape{"erf_tied", 3, 24, 3, 20, 31, 96, "gelu", true},
                                         Shape{"tanh_tied", 2, 32, 4, 33, 50, 128, "gelu_new", true},
                                         Shape{"erf_untied", 2, 16, 1, 8, 17, 64, "gelu", false},
                                         Shape{"tanh_untied_wide_epsilon", 4, 20, 5, 12, 40, 30, "gelu_new", false, 1e-2}),
                         [](const auto& shape) { return std::string(shape.param.name); });

TEST(Network, TheOracleNoticesADifferenceOfAThousandth) {
    const ScratchFolder folder;
    const auto parameters = lively_parameters(small_geometry(), 1);
    save_checkpoint(folder.path(), parameters);
    write_cases(folder.path() / "cases.safetensors", parameters, 1e-3);
    EXPECT_NE(run_oracle(folder.path(), "1e-4 2>/dev/null"), 0);
}

TEST(Network, EarlierPositionsDoNotSeeLaterTokens) {
    const auto parameters = lively_parameters(small_geometry(), 2);
    const auto ids = random_ids(1, 10, 20, 3);
    auto changed = ids.clone();
    changed[0][6] = (ids[0][6].item<std::int64_t>() + 1) % 20;
    const auto a = forward(parameters, ids), b = forward(parameters, changed);
    EXPECT_TRUE(same_bits(a.narrow(1, 0, 6), b.narrow(1, 0, 6)));
    EXPECT_FALSE(at::allclose(a.narrow(1, 6, 4), b.narrow(1, 6, 4)));
}

TEST(Network, MlpOfAHandMadeCase) {
    Geometry geometry = small_geometry();
    geometry.width = 2;
    geometry.heads = 1;
    geometry.inner = 1;
    auto parameters = lively_parameters(geometry, 1);
    parameters.set("h.0.mlp.c_fc.weight", at::tensor({1.0F, 2.0F}).view({2, 1}));
    parameters.set("h.0.mlp.c_fc.bias", at::tensor({-2.0F}));
    parameters.set("h.0.mlp.c_proj.weight", at::tensor({3.0F, -1.0F}).view({1, 2}));
    parameters.set("h.0.mlp.c_proj.bias", at::tensor({0.5F, 0.25F}));
    // hidden = 1·1 + 1·2 − 2 = 1; gelu(1) = Φ(1) = 0.8413447
    const auto out = run_mlp(parameters, 0, at::ones({1, 1, 2}));
    EXPECT_NEAR(out[0][0][0].item<float>(), 3 * 0.8413447 + 0.5, 1e-6);
    EXPECT_NEAR(out[0][0][1].item<float>(), -0.8413447 + 0.25, 1e-6);
}

TEST(Network, HooksReplaceAndShowEveryBlock) {
    const auto parameters = lively_parameters(small_geometry(), 4);
    const auto ids = random_ids(2, 8, 20, 5);
    std::vector<std::int64_t> order;
    std::vector<at::Tensor> streams, outputs;
    ForwardHooks hooks;
    hooks.mlp = [&](std::int64_t block, const at::Tensor& input) {
        order.push_back(block);
        return run_mlp(parameters, block, input);
    };
    hooks.residual = [&](std::int64_t, const at::Tensor& stream) { streams.push_back(stream); };
    hooks.mlp_output = [&](std::int64_t, const at::Tensor& output) { outputs.push_back(output); };
    const auto plain = forward(parameters, ids);
    EXPECT_TRUE(same_bits(plain, forward(parameters, ids, hooks)));
    EXPECT_EQ(order, (std::vector<std::int64_t>{0, 1}));
    ASSERT_EQ(streams.size(), 2U);
    EXPECT_TRUE(same_bits(plain, project(parameters, final_norm(parameters, streams[1]))));
    EXPECT_TRUE(same_bits(streams[0], run_blocks(parameters, embed(parameters, ids), 0, 1)));
    EXPECT_EQ(outputs[1].sizes(), streams[1].sizes());

    ForwardHooks skip;
    skip.block = [](std::int64_t, const at::Tensor& stream) { return stream; };
    EXPECT_TRUE(same_bits(forward(parameters, ids, skip), project(parameters, final_norm(parameters, embed(parameters, ids)))));
}

TEST(Network, GradientsEqualFiniteDifferences) {
    auto parameters = lively_parameters(small_geometry(), 6);
    for (const auto& spec : tensor_specs(small_geometry())) parameters.set(spec.name, parameters[spec.name].to(at::kDouble));
    const auto ids = random_ids(1, 6, 20, 7);
    for (const char* name : {"h.0.attn.c_attn.weight", "h.1.mlp.c_fc.bias", "wte.weight", "ln_f.weight"}) {
        auto tensor = parameters[name].clone().requires_grad_(true);
        auto live = parameters;
        live.set(name, tensor);
        const auto value = [&] { return forward(live, ids).pow(2).mean(); };
        value().backward();
        const auto gradient = tensor.grad().flatten();
        const at::NoGradGuard no_grad;
        for (const std::int64_t i : {std::int64_t{0}, tensor.numel() / 2}) {
            auto entry = tensor.view({-1})[i];
            const double before = entry.item<double>(), h = 1e-5;
            entry.fill_(before + h);
            const double up = value().item<double>();
            entry.fill_(before - h);
            const double down = value().item<double>();
            entry.fill_(before);
            // float64; central differences with h = 1e-5 leave about 1e-9.
            EXPECT_NEAR(gradient[i].item<double>(), (up - down) / (2 * h), 1e-7) << name << " " << i;
        }
    }
}

TEST(Network, TheSameInputsGiveTheSameBitsWhateverTheBatchBefore) {
    const auto parameters = lively_parameters(small_geometry(), 8);
    const auto ids = random_ids(3, 16, 20, 9);
    const auto first = forward(parameters, ids);
    forward(lively_parameters(small_geometry(), 9), random_ids(7, 5, 20, 10));
    EXPECT_TRUE(same_bits(first, forward(parameters, ids)));
}

TEST(Device, BfloatScopeLowersPrecisionAndEndsWithTheScope) {
    const auto parameters = lively_parameters(small_geometry(), 11);
    const auto ids = random_ids(2, 8, 20, 12);
    const at::NoGradGuard no_grad;
    const auto exact = forward(parameters, ids);
    {
        const PrecisionScope scope("bfloat16", at::kCPU);
        const auto rough = forward(parameters, ids);
        EXPECT_EQ(rough.scalar_type(), at::kBFloat16);
        // 8 bits of mantissa through two blocks: some percent of logits of size about 3.
        EXPECT_LT((rough.to(at::kFloat) - exact).abs().max().item<float>(), 0.3F);
        {
            const PrecisionScope full("float32", at::kCPU);
            EXPECT_TRUE(same_bits(exact, forward(parameters, ids)));
        }
        EXPECT_TRUE(same_bits(rough.to(at::kFloat), forward(parameters, ids).to(at::kFloat)));
    }
    EXPECT_TRUE(same_bits(exact, forward(parameters, ids)));
    const PrecisionScope nothing("float32", at::kCPU);
    EXPECT_TRUE(same_bits(exact, forward(parameters, ids)));
}

TEST(Device, ChoosesAndRefuses) {
    EXPECT_EQ(choose_device("cpu", 3), at::Device(at::kCPU));
    EXPECT_THROW(choose_device("gpu", 0), InputError);
    EXPECT_THROW(PrecisionScope("float16", at::kCPU), InputError);
    if (torch_description().find("CUDA") == std::string::npos) {
        EXPECT_EQ(choose_device("auto", 0), at::Device(at::kCPU));
        EXPECT_THROW(choose_device("cuda", 0), InputError);
    }
}

TEST(Device, CudaGivesTheCpusLogits) {
    if (torch_description().find("CUDA") == std::string::npos) GTEST_SKIP() << torch_description() << " has no CUDA";
    const auto device = choose_device("cuda", 0);
    const auto parameters = lively_parameters(small_geometry(), 13);
    const auto ids = random_ids(2, 16, 20, 14);
    const auto there = forward(parameters.to(device), ids.to(device)).to(at::kCPU);
    EXPECT_TRUE(at::allclose(there, forward(parameters, ids), 1e-4, 1e-4));
}

}  // namespace
}  // namespace cmsweep
