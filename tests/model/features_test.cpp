#include "cmsweep/model/features.hpp"

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

class Features : public testing::Test {
protected:
    ScratchFolder folder;
    StoredSplit split = make_split(folder.path(), 16 * 140 + 1, 20, 1);
    std::shared_ptr<const Parameters> network = std::make_shared<Parameters>(lively_parameters(small_geometry(), 1));
    NetworkPredictor predictor{network};
    // 140 windows: a batch of 128 and one of 12.
    EvaluationText probe{&split, evaluation_starts(split.digest(), split.size(), 16, -1), 16};

    std::map<std::string, BlockFeatures> collect(const std::string& pooling, std::vector<std::string> sites = {"residual", "mlp_output"}) const {
        return collect_features(predictor, probe, sites, pooling, at::kCPU, "float32", {});
    }
    /// Stream after block `block` and the MLP's output there, of window `w`, [T, width].
    std::pair<at::Tensor, at::Tensor> naive(std::size_t w, std::int64_t block) const {
        const std::uint64_t starts[] = {probe.starts[w]};
        const auto ids = gather_windows(split, starts, 16, at::kCPU).narrow(1, 0, 16);
        const auto before = run_blocks(*network, embed(*network, ids), 0, block);
        at::Tensor mlp;
        ForwardHooks hooks;
        hooks.mlp_output = [&](std::int64_t, const at::Tensor& output) { mlp = output; };
        return {run_block(*network, block, before, hooks)[0], mlp[0]};
    }
};

TEST_F(Features, MeanLastAndTokenPoolingEqualTheNaiveOnes) {
    const auto mean = collect("mean"), last = collect("last"), token = collect("token");
    ASSERT_EQ(mean.at("residual").size(), 2U);
    ASSERT_EQ(mean.at("mlp_output")[1].rows(), 140);
    ASSERT_EQ(token.at("residual")[0].rows(), 140 * 16);
    ASSERT_EQ(mean.at("residual")[0].cols(), 12);
    for (const std::size_t w : {std::size_t{0}, std::size_t{127}, std::size_t{139}})
        for (const std::int64_t block : {0, 1}) {
            const auto [stream, output] = naive(w, block);
            const auto row = static_cast<Eigen::Index>(w);
            const auto b = static_cast<std::size_t>(block);
            for (Eigen::Index c = 0; c < 12; ++c) {
                double sum = 0;
                for (int t = 0; t < 16; ++t) sum += output[t][c].item<double>();
                // Batches of another size may round the last bits otherwise.
                EXPECT_NEAR(mean.at("mlp_output")[b](row, c), sum / 16, 1e-5);
                EXPECT_NEAR(last.at("residual")[b](row, c), stream[15][c].item<float>(), 1e-5);
                EXPECT_NEAR(token.at("residual")[b](row * 16 + 5, c), stream[5][c].item<float>(), 1e-5);
            }
        }
}

TEST_F(Features, TheSameBitsAgainAndForFewerSites) {
    const auto first = collect("mean"), again = collect("mean"), one = collect("mean", {"residual"});
    EXPECT_EQ(one.size(), 1U);
    for (std::size_t b = 0; b < 2; ++b) {
        EXPECT_TRUE(first.at("residual")[b] == again.at("residual")[b]);
        EXPECT_TRUE(first.at("residual")[b] == one.at("residual")[b]);
    }
}

TEST_F(Features, RoundTripThroughAFile) {
    const auto features = collect("last");
    const auto file = folder.path() / "a/b.features";
    save_features(file, features);
    for (const auto& [site, blocks] : features)
        for (std::size_t b = 0; b < 2; ++b) EXPECT_TRUE(load_features(file, site, static_cast<std::int64_t>(b)) == blocks[b]);
    EXPECT_THROW(load_features(file, "residual", 2), InputError);
    const auto text = read_text(file);
    write_atomically(file, text.substr(0, text.size() - 4));
    EXPECT_THROW(load_features(file, "residual", 0), InputError);
}

TEST_F(Features, MoreThanTenBlocksKeepTheirOrder) {
    BlockFeatures blocks;
    for (int b = 0; b < 12; ++b) blocks.push_back(FeatureMatrix::Constant(3, 2, static_cast<float>(b)));
    save_features(folder.path() / "f", {{"residual", blocks}});
    for (int b = 0; b < 12; ++b) EXPECT_EQ(load_features(folder.path() / "f", "residual", b)(2, 1), static_cast<float>(b));
}

TEST_F(Features, UnknownNamesAreRefused) {
    EXPECT_THROW(collect("median"), InputError);
    EXPECT_THROW(collect("mean", {"attention"}), InputError);
    save_checkpoint(folder.path() / "model", *network);
    EXPECT_THROW(load_features(folder.path() / "model/model.safetensors", "residual", 0), InputError);
}

TEST_F(Features, APredictorWithoutAStreamGivesNone) {
    class Blind : public Predictor {
        TokenScores score(Batch&) const override { return {}; }
        Cost cost(std::int64_t) const override { return {}; }
        bool show_stream(Batch&, const ForwardHooks&) const override { return false; }
    };
    EXPECT_TRUE(collect_features(Blind(), probe, {"residual"}, "mean", at::kCPU, "float32", {}).empty());
}

}  // namespace
}  // namespace cmsweep
