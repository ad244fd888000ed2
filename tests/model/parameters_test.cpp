#include <fstream>

#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/safetensors.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TEST(Parameters, RoundTripThroughACheckpointKeepsBitsAndGeometry) {
    for (const bool tied : {true, false}) {
        const ScratchFolder folder;
        auto geometry = small_geometry();
        geometry.tied = tied;
        geometry.activation = "gelu_new";
        const auto parameters = lively_parameters(geometry, 1);
        save_checkpoint(folder.path(), parameters);
        const auto read = load_parameters(Checkpoint(folder.path()), at::kCPU);
        EXPECT_EQ(read.geometry(), geometry);
        EXPECT_TRUE(same_bits(parameters, read));
    }
}

TEST(Parameters, CheckpointHasTransformersNamesAndTokenizerFiles) {
    const ScratchFolder folder;
    auto geometry = small_geometry();
    geometry.tied = false;
    write_atomically(folder.path() / "tokenizer/vocab.json", "{}");
    save_checkpoint(folder.path() / "out", lively_parameters(geometry, 1), folder.path() / "tokenizer");
    const SafetensorsFile file(folder.path() / "out/model.safetensors");
    EXPECT_TRUE(file.find("transformer.h.1.attn.c_attn.weight"));
    EXPECT_TRUE(file.find("lm_head.weight"));
    EXPECT_FALSE(file.find("transformer.lm_head.weight"));
    EXPECT_EQ(file.metadata().at("format"), "pt");
    EXPECT_EQ(read_text(folder.path() / "out/vocab.json"), "{}");
    EXPECT_FALSE(std::filesystem::exists(folder.path() / "out/tokenizer.json"));
}

TEST(Parameters, RandomStartIsGpt2s) {
    auto geometry = small_geometry();
    geometry.width = 48;
    geometry.inner = 192;
    const auto parameters = random_parameters(geometry, 7, at::kCPU);
    EXPECT_TRUE(same_bits(parameters, random_parameters(geometry, 7, at::kCPU)));
    EXPECT_FALSE(same_bits(parameters["wte.weight"], random_parameters(geometry, 8, at::kCPU)["wte.weight"]));
    // 9216 draws: the sample deviation lies within 3 % of the true one.
    EXPECT_NEAR(parameters["h.0.mlp.c_fc.weight"].std().item<double>(), 0.02, 0.0006);
    EXPECT_NEAR(parameters["h.0.mlp.c_proj.weight"].std().item<double>(), 0.01, 0.0003);  // / sqrt(2 x 2 blocks)
    EXPECT_TRUE(at::equal(parameters["ln_f.weight"], at::ones({48})));
    EXPECT_EQ(parameters["h.1.attn.c_attn.bias"].abs().sum().item<float>(), 0);
}

TEST(Parameters, RefusesUnknownNamesAndOtherShapes) {
    auto parameters = lively_parameters(small_geometry(), 1);
    EXPECT_THAT([&] { parameters["h.9.ln_1.weight"]; }, ThrowsMessage<std::out_of_range>(HasSubstr("h.9.ln_1.weight")));
    EXPECT_THROW(parameters.set("ln_f.bias", at::zeros({5})), std::invalid_argument);
    EXPECT_THROW(parameters.set("ln_g.bias", at::zeros({5})), std::out_of_range);
    auto tensors = parameters.tensors();
    tensors.erase("ln_f.bias");
    EXPECT_THROW(Parameters(small_geometry(), tensors), std::out_of_range);
    tensors = parameters.tensors();
    tensors.insert_or_assign("ln_f.bias", at::zeros({5}));
    EXPECT_THROW(Parameters(small_geometry(), tensors), std::invalid_argument);
}

TEST(Parameters, TrainableNames) {
    const auto geometry = small_geometry();
    EXPECT_THAT(trainable_names(geometry, "mlp"),
                testing::UnorderedElementsAre("h.0.mlp.c_fc.weight", "h.0.mlp.c_fc.bias", "h.0.mlp.c_proj.weight", "h.0.mlp.c_proj.bias",
                                              "h.1.mlp.c_fc.weight", "h.1.mlp.c_fc.bias", "h.1.mlp.c_proj.weight", "h.1.mlp.c_proj.bias"));
    EXPECT_EQ(trainable_names(geometry, "all").size(), tensor_specs(geometry).size());
    EXPECT_THROW(trainable_names(geometry, "attention"), std::invalid_argument);
}

class Delta : public testing::Test {
protected:
    ScratchFolder folder;
    std::filesystem::path file = folder.path() / "a/100.safetensors";
    Parameters base = lively_parameters(small_geometry(), 1);
    Id base_id = hash_text("base");
    Parameters specialist = base;
    std::set<std::string> names = trainable_names(small_geometry(), "mlp");

    void SetUp() override {
        for (const auto& name : names) specialist.set(name, base[name] + 0.125);
        save_delta(file, specialist, names, base_id);
    }
};

TEST_F(Delta, RoundTripSharesWhatDidNotChange) {
    const auto read = load_delta(file, base, base_id);
    EXPECT_TRUE(same_bits(read, specialist));
    EXPECT_TRUE(read["wte.weight"].is_same(base["wte.weight"]));
    EXPECT_EQ(SafetensorsFile(file).tensors().size(), names.size());
}

TEST_F(Delta, AnotherBaseIsRefused) {
    const auto other = hash_text("other");
    EXPECT_THAT([&] { load_delta(file, base, other); },
                ThrowsMessage<InputError>(testing::AllOf(HasSubstr(base_id.hex()), HasSubstr(other.hex()), HasSubstr(file.string()))));
}

TEST_F(Delta, AnotherShapeIsRefused) {
    auto geometry = small_geometry();
    geometry.inner = 24;
    EXPECT_THAT([&] { load_delta(file, lively_parameters(geometry, 1), base_id); },
                ThrowsMessage<InputError>(HasSubstr("h.0.mlp.c_fc.weight has shape [12, 48], expected [12, 24]")));
}

TEST_F(Delta, DamageIsRefused) {
    const auto whole = read_text(file);
    write_atomically(file, whole.substr(0, whole.size() - 1));
    EXPECT_THROW(load_delta(file, base, base_id), InputError);
    auto flipped = whole;
    flipped[whole.size() - 40] = static_cast<char>(flipped[whole.size() - 40] ^ 1);
    write_atomically(file, flipped);
    EXPECT_THAT([&] { load_delta(file, base, base_id); }, ThrowsMessage<InputError>(HasSubstr("checksum")));
    write_atomically(file, "");
    EXPECT_THROW(load_delta(file, base, base_id), InputError);
}

TEST_F(Delta, AnOrdinaryCheckpointIsRefused) {
    save_checkpoint(folder.path() / "whole", base);
    EXPECT_THAT([&] { load_delta(folder.path() / "whole/model.safetensors", base, base_id); },
                ThrowsMessage<InputError>(HasSubstr("format = \"pt\"")));
}

}  // namespace
}  // namespace cmsweep
