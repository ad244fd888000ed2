#include "cmsweep/base/checkpoint.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/random.hpp"
#include "temporary_folder.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

/// openai-community/gpt2's config.json, the keys that matter and some that do not.
json gpt2_config() {
    return json::parse(R"({"activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 50256, "embd_pdrop": 0.1, "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024,
        "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "vocab_size": 50257})");
}

std::vector<std::string> problems_of(const std::function<void()>& action) {
    try {
        action();
    } catch (const InputError& error) {
        return error.problems();
    }
    return {};
}

std::vector<std::string> config_problems(const std::string& key, const json& value) {
    auto config = gpt2_config();
    config[key] = value;
    return problems_of([&] { parse_geometry(config, "m/config.json"); });
}

TEST(Geometry, ReadsGpt2) {
    const auto geometry = parse_geometry(gpt2_config(), "m/config.json");
    EXPECT_EQ(geometry, (Geometry{12, 768, 12, 1024, 50257, 3072, "gelu_new", 1e-5, true}));
    std::int64_t scalars = 0;
    for (const auto& spec : tensor_specs(geometry)) scalars += spec.elements();
    EXPECT_EQ(scalars, 124439808);  // GPT-2 small's published "124M"
}

TEST(Geometry, DefaultsAreThoseOfTransformers) {
    auto config = gpt2_config();
    for (const char* key : {"activation_function", "layer_norm_epsilon", "n_positions"}) config.erase(key);
    config["n_inner"] = nullptr;
    config["n_ctx"] = 512;
    EXPECT_EQ(parse_geometry(config, "x"), (Geometry{12, 768, 12, 512, 50257, 3072, "gelu_new", 1e-5, true}));
    config["n_inner"] = 100;
    config["activation_function"] = "gelu";
    config["tie_word_embeddings"] = false;
    config["layer_norm_epsilon"] = 1e-6;
    EXPECT_EQ(parse_geometry(config, "x"), (Geometry{12, 768, 12, 512, 50257, 100, "gelu", 1e-6, false}));
}

TEST(Geometry, RefusesImpossibleValuesNamingThem) {
    for (const char* key : {"n_layer", "n_embd", "n_head", "n_positions", "vocab_size", "n_inner"}) {
        for (const json& value : {json(0), json(-1), json("12"), json(1.5), json(12.0), json(true), json(1LL << 40),
                                  json(std::numeric_limits<std::uint64_t>::max()), json(json::array({1}))}) {
            const auto problems = config_problems(key, value);
            EXPECT_THAT(problems,
                        Contains(AllOf(HasSubstr("m/config.json: " + std::string(key)), HasSubstr(value.dump()))))
                << key << value;
        }
    }
    EXPECT_THAT(config_problems("n_head", 7), ElementsAre(AllOf(HasSubstr("n_embd = 768"), HasSubstr("n_head = 7"))));
    EXPECT_THAT(config_problems("model_type", "llama"), ElementsAre(HasSubstr("\"llama\"")));
    EXPECT_THAT(config_problems("model_type", nullptr), ElementsAre(HasSubstr("missing")));
    EXPECT_THAT(config_problems("activation_function", "relu"), ElementsAre(HasSubstr("\"relu\"")));
    EXPECT_THAT(config_problems("activation_function", 3), SizeIs(1));
    EXPECT_THAT(config_problems("layer_norm_epsilon", 0), SizeIs(1));
    EXPECT_THAT(config_problems("layer_norm_epsilon", "1e-5"), SizeIs(1));
    EXPECT_THAT(config_problems("tie_word_embeddings", 1), SizeIs(1));
    EXPECT_THAT(config_problems("scale_attn_weights", false), SizeIs(1));
    EXPECT_THAT(config_problems("scale_attn_by_inverse_layer_idx", true), SizeIs(1));
    EXPECT_THAT(config_problems("scale_attn_by_inverse_layer_idx", false), SizeIs(0));
    EXPECT_THAT(config_problems("add_cross_attention", true), SizeIs(1));
    EXPECT_THROW(parse_geometry(json::array(), "x"), InputError);
    EXPECT_THROW(parse_geometry(nullptr, "x"), InputError);
}

TEST(Geometry, ReportsAllProblemsAtOnce) {
    EXPECT_THAT(problems_of([] { parse_geometry(json::object(), "x"); }),
                ElementsAre(HasSubstr("model_type is missing"), HasSubstr("n_layer is missing"),
                            HasSubstr("n_embd is missing"), HasSubstr("n_head is missing"),
                            HasSubstr("n_positions is missing"), HasSubstr("vocab_size is missing")));
}

TEST(Geometry, GoesThroughBothJsonForms) {
    for (const auto& geometry : {Geometry{2, 8, 2, 6, 11, 32, "gelu", 1e-5, true},
                                 Geometry{3, 12, 3, 7, 50257, 20, "gelu_new", 1e-6, false}}) {
        EXPECT_EQ(parse_geometry(json::parse(geometry_to_json(geometry).dump()), "x"), geometry);
        EXPECT_EQ(json::parse(json(geometry).dump()).get<Geometry>(), geometry);
    }
    const auto config = geometry_to_json(Geometry{2, 8, 2, 6, 11, 32, "gelu", 1e-5, true});
    EXPECT_EQ(config["architectures"], json::array({"GPT2LMHeadModel"}));
    EXPECT_TRUE(config["n_inner"].is_null());
    EXPECT_LT(config["eos_token_id"], 11);
}

TEST(TensorSpecs, AreGpt2sInOrder) {
    const auto specs = tensor_specs(Geometry{1, 8, 2, 6, 11, 20, "gelu", 1e-5, false});
    const std::vector<TensorSpec> expected = {{"wte.weight", {11, 8}},
                                              {"wpe.weight", {6, 8}},
                                              {"h.0.ln_1.weight", {8}},
                                              {"h.0.ln_1.bias", {8}},
                                              {"h.0.attn.c_attn.weight", {8, 24}},
                                              {"h.0.attn.c_attn.bias", {24}},
                                              {"h.0.attn.c_proj.weight", {8, 8}},
                                              {"h.0.attn.c_proj.bias", {8}},
                                              {"h.0.ln_2.weight", {8}},
                                              {"h.0.ln_2.bias", {8}},
                                              {"h.0.mlp.c_fc.weight", {8, 20}},
                                              {"h.0.mlp.c_fc.bias", {20}},
                                              {"h.0.mlp.c_proj.weight", {20, 8}},
                                              {"h.0.mlp.c_proj.bias", {8}},
                                              {"ln_f.weight", {8}},
                                              {"ln_f.bias", {8}},
                                              {"lm_head.weight", {11, 8}}};
    EXPECT_EQ(specs, expected);
    EXPECT_EQ(tensor_specs(Geometry{3, 8, 2, 6, 11, 32, "gelu", 1e-5, true}).size(), 4U + 3 * 12);
}

TEST(TensorNames, BlocksAndMlps) {
    EXPECT_EQ(block_of("h.0.ln_1.weight"), 0);
    EXPECT_EQ(block_of("h.12.mlp.c_fc.bias"), 12);
    for (const char* name : {"wte.weight", "h.", "h.x.y", "h.1", "h.-1.x", "h.+1.x", "transformer.h.0.x", "",
                             "h.99999999999999999999.x"}) {
        EXPECT_EQ(block_of(name), -1) << name;
    }
    EXPECT_TRUE(is_mlp("h.3.mlp.c_fc.weight"));
    EXPECT_FALSE(is_mlp("h.3.attn.c_attn.weight"));
    EXPECT_FALSE(is_mlp("mlp.c_fc.weight"));
    EXPECT_FALSE(is_mlp("h.3.mlp_other"));
}

/// Tensors of one checkpoint before they are written.
struct Stored {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
};

class CheckpointTest : public testing::Test {
protected:
    CheckpointTest() { fill(); }

    /// Values that bfloat16 holds exactly, so that every dtype stores the same.
    void fill() {
        tensors_.clear();
        for (const auto& spec : tensor_specs(geometry_)) {
            Stream stream(1, "test", {spec.name});
            std::vector<float> values(spec.elements());
            for (auto& value : values) value = static_cast<float>(stream.below(255)) / 128.0F - 1.0F;
            tensors_.push_back({spec.name, "F32", spec.shape, to_bytes(values)});
        }
    }

    template <typename T>
    static std::vector<std::byte> to_bytes(const std::vector<T>& values) {
        const auto bytes = std::as_bytes(std::span(values));
        return {bytes.begin(), bytes.end()};
    }

    Stored& tensor(const std::string& name) { return *std::ranges::find(tensors_, name, &Stored::name); }

    static void write(const fs::path& path, const std::vector<Stored>& stored) {
        std::vector<TensorToWrite> tensors;
        for (const auto& t : stored) tensors.push_back({t.name, t.dtype, t.shape, t.bytes});
        write_safetensors(path, tensors);
    }

    void write_config() { write_atomically(folder_.path() / "config.json", geometry_to_json(geometry_).dump()); }

    void write_single() {
        write_config();
        write(folder_.path() / "model.safetensors", tensors_);
    }

    /// Three shards, tensors dealt in turn.
    json write_shards() {
        write_config();
        std::vector<std::vector<Stored>> shards(3);
        json index = {{"metadata", {{"total_size", 1}}}, {"weight_map", json::object()}};
        for (std::size_t i = 0; i < tensors_.size(); ++i) {
            shards[i % 3].push_back(tensors_[i]);
            index["weight_map"][tensors_[i].name] = "model-" + std::to_string(i % 3) + ".safetensors";
        }
        for (int i = 0; i < 3; ++i) write(folder_.path() / ("model-" + std::to_string(i) + ".safetensors"), shards[i]);
        write_index(index);
        return index;
    }

    void write_index(const json& index) {
        write_atomically(folder_.path() / "model.safetensors.index.json", index.dump());
    }

    Checkpoint open() { return Checkpoint(folder_.path()); }
    std::vector<std::string> problems() {
        return problems_of([&] { open(); });
    }

    Geometry geometry_{2, 8, 2, 6, 11, 32, "gelu_new", 1e-5, true};
    std::vector<Stored> tensors_;
    TemporaryFolder folder_;
};

TEST_F(CheckpointTest, ReadsASingleFile) {
    write_single();
    const auto checkpoint = open();
    EXPECT_EQ(checkpoint.geometry(), geometry_);
    EXPECT_EQ(checkpoint.folder(), folder_.path());
    for (const auto& spec : tensor_specs(geometry_)) {
        std::vector<float> values(spec.elements());
        checkpoint.read(spec, values);
        EXPECT_EQ(to_bytes(values), tensor(spec.name).bytes) << spec.name;
    }
    std::vector<float> out(88);
    EXPECT_THROW(checkpoint.read({"lm_head.weight", {11, 8}}, out), std::out_of_range);
}

TEST_F(CheckpointTest, DigestDoesNotDependOnLayoutShardingPrefixOrdering) {
    write_single();
    const auto digest = open().digest();

    std::ranges::reverse(tensors_);
    write_single();
    EXPECT_EQ(open().digest(), digest);

    for (auto& t : tensors_) t.name = "transformer." + t.name;
    write_single();
    EXPECT_EQ(open().digest(), digest);

    fs::remove(folder_.path() / "model.safetensors");
    write_shards();
    EXPECT_EQ(open().digest(), digest);
}

TEST_F(CheckpointTest, DigestIsOfFloat32ValuesWhateverTheDtype) {
    write_single();
    const auto digest = open().digest();
    for (auto& t : tensors_) {
        std::vector<float> values(t.bytes.size() / 4);
        std::memcpy(values.data(), t.bytes.data(), t.bytes.size());
        if (t.name.ends_with("bias")) {
            std::vector<double> doubles(values.begin(), values.end());
            t.dtype = "F64";
            t.bytes = to_bytes(doubles);
        } else {
            std::vector<std::uint16_t> halves;
            for (const float value : values)
                halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16));
            t.dtype = "BF16";
            t.bytes = to_bytes(halves);
        }
    }
    write_single();
    EXPECT_EQ(open().digest(), digest);
}

TEST_F(CheckpointTest, DigestFollowsEveryValueAndTheGeometry) {
    write_single();
    std::set<Id> digests = {open().digest()};
    for (auto& t : tensors_) {
        auto before = t.bytes;
        t.bytes.back() ^= std::byte{1};
        write_single();
        digests.insert(open().digest());
        t.bytes = before;
    }
    geometry_.activation = "gelu";
    write_single();
    digests.insert(open().digest());
    geometry_.layer_norm_epsilon = 1e-6;
    write_single();
    digests.insert(open().digest());
    EXPECT_EQ(digests.size(), tensors_.size() + 3);
}

TEST_F(CheckpointTest, IgnoresStoredMasksAndOtherHeads) {
    write_single();
    const auto digest = open().digest();
    tensors_.push_back({"h.0.attn.bias", "U8", {1, 1, 6, 6}, std::vector<std::byte>(36)});
    tensors_.push_back({"transformer.h.1.attn.masked_bias", "F32", {}, std::vector<std::byte>(4)});
    tensors_.push_back({"score.weight", "F32", {2, 8}, std::vector<std::byte>(64)});
    write_single();
    EXPECT_EQ(open().digest(), digest);
}

TEST_F(CheckpointTest, ASeparateHeadIsATensorOfItsOwn) {
    geometry_.tied = false;
    fill();
    write_single();
    const auto checkpoint = open();
    EXPECT_FALSE(checkpoint.geometry().tied);
    std::vector<float> head(88);
    checkpoint.read({"lm_head.weight", {11, 8}}, head);
    EXPECT_EQ(to_bytes(head), tensor("lm_head.weight").bytes);
}

TEST_F(CheckpointTest, AHeadEqualToTheEmbeddingCountsAsTied) {
    write_single();
    const auto digest = open().digest();
    auto head = tensor("wte.weight");
    head.name = "lm_head.weight";
    tensors_.push_back(head);
    for (const bool tied : {true, false}) {
        geometry_.tied = tied;
        write_single();
        EXPECT_TRUE(open().geometry().tied);
        EXPECT_EQ(open().digest(), digest);
    }
    // One bit apart is another head.
    tensor("lm_head.weight").bytes[0] ^= std::byte{1};
    geometry_.tied = false;
    write_single();
    EXPECT_FALSE(open().geometry().tied);
    EXPECT_NE(open().digest(), digest);
}

TEST_F(CheckpointTest, AHeadOfAnotherDtypeIsComparedByValue) {
    auto head = tensor("wte.weight");
    std::vector<float> values(head.bytes.size() / 4);
    std::memcpy(values.data(), head.bytes.data(), head.bytes.size());
    tensors_.push_back(
        {"lm_head.weight", "F64", head.shape, to_bytes(std::vector<double>(values.begin(), values.end()))});
    geometry_.tied = false;
    write_single();
    EXPECT_TRUE(open().geometry().tied);
}

TEST_F(CheckpointTest, RefusesATiedConfigBesideAnotherHead) {
    geometry_.tied = false;
    fill();
    geometry_.tied = true;
    write_single();
    EXPECT_THAT(problems(), ElementsAre(AllOf(HasSubstr("lm_head.weight differs"), HasSubstr("tie_word_embeddings"))));
}

TEST_F(CheckpointTest, RefusesAMissingHead) {
    geometry_.tied = false;
    write_single();
    EXPECT_THAT(problems(),
                ElementsAre(AllOf(HasSubstr("no tensor lm_head.weight"), HasSubstr("tie_word_embeddings = false"))));
}

TEST_F(CheckpointTest, ReportsEveryMissingAndMisshapenTensor) {
    std::erase_if(tensors_, [](const auto& t) { return t.name == "h.1.ln_2.bias" || t.name == "ln_f.weight"; });
    tensor("h.0.attn.c_attn.weight").shape = {24, 8};
    tensor("wpe.weight").shape = {3, 16};
    tensor("h.0.ln_1.bias") = {"h.0.ln_1.bias", "I32", {8}, std::vector<std::byte>(32)};
    write_single();
    EXPECT_THAT(
        problems(),
        testing::UnorderedElementsAre(
            HasSubstr("no tensor h.1.ln_2.bias"), HasSubstr("no tensor ln_f.weight"),
            AllOf(HasSubstr("model.safetensors: tensor h.0.attn.c_attn.weight has shape [24,8], expected [8,24] = "
                            "[n_embd, 3 x n_embd] with n_embd = 8 in config.json"),
                  HasSubstr("transposed")),
            AllOf(HasSubstr("wpe.weight has shape [3,16]"),
                  HasSubstr("[n_positions, n_embd] with n_positions = 6, n_embd = 8"), Not(HasSubstr("transposed"))),
            AllOf(HasSubstr("h.0.ln_1.bias has dtype I32"))));
}

TEST_F(CheckpointTest, RefusesAnotherVocabularyOrDepth) {
    write_single();
    geometry_.vocabulary = 12;
    write_config();
    EXPECT_THAT(problems(), ElementsAre(AllOf(HasSubstr("wte.weight has shape [11,8], expected [12,8]"),
                                              HasSubstr("vocab_size = 12"))));
    geometry_.vocabulary = 11;
    geometry_.blocks = 3;
    write_config();
    EXPECT_THAT(problems(), AllOf(SizeIs(12), Contains(HasSubstr("no tensor h.2.mlp.c_fc.weight"))));
    geometry_.blocks = 1;
    write_config();
    EXPECT_THAT(problems(),
                AllOf(SizeIs(12), Contains(AllOf(HasSubstr("h.1.mlp.c_fc.weight"), HasSubstr("n_layer = 1")))));
    geometry_.blocks = 20;
    write_config();
    EXPECT_THAT(problems(), AllOf(SizeIs(21), Contains(HasSubstr("more problems"))));
    geometry_.blocks = 4096;  // more than there are tensors: nothing is listed
    write_config();
    EXPECT_THAT(problems(), ElementsAre(AllOf(HasSubstr("config.json: n_layer = 4096"), HasSubstr("only 28 tensors"))));
}

TEST_F(CheckpointTest, RefusesANameWithAndWithoutPrefix) {
    auto again = tensor("ln_f.bias");
    again.name = "transformer.ln_f.bias";
    tensors_.push_back(again);
    write_single();
    EXPECT_THAT(problems(), ElementsAre(AllOf(HasSubstr("ln_f.bias"), HasSubstr("twice"))));
}

TEST_F(CheckpointTest, RefusesMissingAndBrokenFiles) {
    EXPECT_THAT(problems_of([&] { Checkpoint(folder_.path() / "nowhere"); }),
                ElementsAre(HasSubstr("nowhere: no such folder")));
    EXPECT_THAT(problems(), ElementsAre(HasSubstr("config.json"), HasSubstr("expected model.safetensors")));
    write_atomically(folder_.path() / "pytorch_model.bin", "x");
    EXPECT_THAT(problems(), Contains(HasSubstr("safe_serialization=True")));

    write_single();
    const auto text = read_text(folder_.path() / "model.safetensors");
    write_atomically(folder_.path() / "model.safetensors", text.substr(0, text.size() - 100));
    EXPECT_THAT(problems(), Contains(AllOf(HasSubstr("model.safetensors"), HasSubstr("truncated"))));
    // A broken config does not hide a broken file.
    write_atomically(folder_.path() / "config.json", "{\"model_type\": ");
    EXPECT_THAT(problems(),
                AllOf(Contains(HasSubstr("config.json: no valid JSON at byte")), Contains(HasSubstr("truncated"))));
    // Valid as JSON, but a message that shows it would exhaust the stack.
    for (const auto& closed : {std::string(), std::string(1000000, ']')}) {
        write_atomically(folder_.path() / "config.json", std::string(1000000, '[') + closed);
        EXPECT_THAT(problems(), Contains(HasSubstr("config.json: brackets more than 100 deep")));
    }
}

TEST_F(CheckpointTest, RefusesBrokenIndexes) {
    const auto index = write_shards();
    EXPECT_TRUE(problems().empty());

    auto wrong = index;
    wrong["weight_map"]["ln_f.bias"] = "../model-0.safetensors";
    wrong["weight_map"]["ln_f.weight"] = 3;
    write_index(wrong);
    EXPECT_THAT(problems(),
                AllOf(SizeIs(2), Contains(AllOf(HasSubstr("\"ln_f.bias\""), HasSubstr("../model-0.safetensors")))));

    wrong = index;
    const std::string right = index["weight_map"]["ln_f.bias"];
    wrong["weight_map"]["ln_f.bias"] = right == "model-0.safetensors" ? "model-1.safetensors" : "model-0.safetensors";
    write_index(wrong);
    EXPECT_THAT(problems(), Contains(AllOf(HasSubstr("no tensor \"ln_f.bias\""), HasSubstr("index.json says"))));

    write_index(json::array());
    EXPECT_THAT(problems(), ElementsAre(HasSubstr("weight_map")));

    write_index(index);
    fs::remove(folder_.path() / "model-0.safetensors");
    fs::remove(folder_.path() / "model-2.safetensors");
    EXPECT_THAT(problems(), ElementsAre(HasSubstr("model-0.safetensors"), HasSubstr("model-2.safetensors")));
}

}  // namespace
}  // namespace cmsweep
