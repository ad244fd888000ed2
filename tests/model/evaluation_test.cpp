#include <cmath>
#include <limits>

#include "cmsweep/model/cost.hpp"
#include "cmsweep/model/predictor.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

class Evaluation : public testing::Test {
protected:
    ScratchFolder folder;
    StoredSplit split = make_split(folder.path(), 16 * 150 + 1, 20, 1);
    std::shared_ptr<const Parameters> network = std::make_shared<Parameters>(lively_parameters(small_geometry(), 1));
    NetworkPredictor predictor{network};

    EvaluationText text(std::int64_t context, std::int64_t windows) const {
        return {&split, evaluation_starts(split.digest(), split.size(), context, windows), context};
    }
    EvaluationResult evaluate_one(const Predictor& one, const EvaluationText& on) const {
        const Predictor* const predictors[] = {&one};
        return evaluate(predictors, on, at::kCPU, "float32", {}).front();
    }
};

TEST(ScoreLogits, ByHand) {
    // Two tokens over three words: e^0 : e^1 : e^2 and all alike.
    const auto logits = at::tensor({0.0F, 1.0F, 2.0F, 5.0F, 5.0F, 5.0F}).view({1, 2, 3});
    const auto scores = score_logits(logits, at::tensor({std::int64_t{2}, std::int64_t{0}}).view({1, 2}));
    EXPECT_NEAR(scores.loss[0][0].item<float>(), std::log(1 + std::exp(-1.0) + std::exp(-2.0)), 1e-6);
    EXPECT_NEAR(scores.loss[0][1].item<float>(), std::log(3.0), 1e-6);
    EXPECT_TRUE(scores.correct[0][0].item<bool>());
    EXPECT_TRUE(scores.correct[0][1].item<bool>());  // a tie goes to the lowest index
}

TEST(ScoreLogits, ChunksOfALargeVocabularyGiveTheSameScores) {
    // 2^24 / 2^18 = 64 tokens at once, of 80.
    const auto logits = at::zeros({2, 40, std::int64_t{1} << 18});
    const auto targets = random_ids(2, 40, 1000, 1);
    const auto logit = [](std::int64_t b, std::int64_t t) { return static_cast<double>(b + t) / 2; };
    for (std::int64_t b = 0; b < 2; ++b)
        for (std::int64_t t = 0; t < 40; ++t) logits[b][t][targets[b][t]] = logit(b, t);
    const auto scores = score_logits(logits, targets);
    for (std::int64_t b = 0; b < 2; ++b)
        for (std::int64_t t = 0; t < 40; ++t) {
            const double expected = std::log1p((std::exp2(18) - 1) * std::exp(-logit(b, t)));  // log(e^x + V - 1) - x
            EXPECT_NEAR(scores.loss[b][t].item<double>(), expected, 2e-3);  // a float32 sum of 2^18 terms
        }
    EXPECT_TRUE(scores.correct.narrow(1, 1, 39).all().item<bool>());
}

TEST_F(Evaluation, EqualsTheNaiveMeanOverWindows) {
    const auto on = text(16, 100);
    const auto result = evaluate_one(predictor, on);
    double loss = 0, suffix = 0, correct = 0;
    std::vector<double> window_loss;
    for (const auto start : on.starts) {
        const std::uint64_t one[] = {start};
        const auto window = gather_windows(split, one, 16, at::kCPU);
        const auto log_p = at::log_softmax(forward(*network, window.narrow(1, 0, 16)).to(at::kDouble), -1);
        double sum = 0;
        for (std::int64_t t = 0; t < 16; ++t) {
            const auto target = window[0][t + 1].item<std::int64_t>();
            const double token = -log_p[0][t][target].item<double>();
            sum += token;
            if (t >= 4) suffix += token;
            correct += log_p[0][t].argmax().item<std::int64_t>() == target;
        }
        loss += sum;
        window_loss.push_back(sum / 16);
    }
    // Float32 logits: relative 1e-6 or so.
    EXPECT_EQ(result.tokens, 1600);
    EXPECT_NEAR(result.loss, loss / 1600, 1e-5);
    EXPECT_NEAR(result.loss_suffix, suffix / 1200, 1e-5);
    EXPECT_DOUBLE_EQ(result.accuracy, correct / 1600);
    // 100 windows in 64 runs: window 0 and 1 in run 0 (64/100 = 0.64), window 2 in run 1.
    EXPECT_NEAR(result.block_loss[0], (window_loss[0] + window_loss[1]) / 2, 1e-5);
    EXPECT_NEAR(result.block_loss[1], (window_loss[2] + window_loss[3]) / 2, 1e-5);
    EXPECT_NEAR(result.block_loss[63], window_loss[99], 1e-5);
}

TEST_F(Evaluation, FewWindowsLeaveRunsEmpty) {
    const auto result = evaluate_one(predictor, text(16, 3));
    int filled = 0;
    double sum = 0;
    for (const double loss : result.block_loss)
        if (!std::isnan(loss)) {
            ++filled;
            sum += loss;
        }
    EXPECT_EQ(filled, 3);
    EXPECT_NEAR(sum / 3, result.loss, 1e-12);
}

TEST_F(Evaluation, ResultsDoNotDependOnWhoIsScoredBeside) {
    const auto on = text(16, -1);  // more than one batch of 128 windows
    ASSERT_EQ(on.starts.size(), 150U);
    const NetworkPredictor other(std::make_shared<Parameters>(lively_parameters(small_geometry(), 2)));
    const Predictor* const predictors[] = {&other, &predictor, &predictor};
    int safe_points = 0;
    const auto together = evaluate(predictors, on, at::kCPU, "float32", [&] { ++safe_points; });
    const auto alone = evaluate_one(predictor, on);
    EXPECT_EQ(safe_points, 2);
    EXPECT_EQ(together[1].loss, alone.loss);
    EXPECT_EQ(together[1].block_loss, alone.block_loss);
    EXPECT_EQ(together[2].loss, alone.loss);
    EXPECT_NE(together[0].loss, alone.loss);
}

TEST_F(Evaluation, ANonFiniteLossIsItsPredictorsAlone) {
    auto broken = *network;
    broken.set("ln_f.bias", at::full({12}, std::numeric_limits<float>::infinity()));
    const NetworkPredictor bad(std::make_shared<Parameters>(broken));
    const Predictor* const predictors[] = {&bad, &predictor};
    const auto results = evaluate(predictors, text(16, 10), at::kCPU, "float32", {});
    EXPECT_TRUE(std::isnan(results[0].loss));
    EXPECT_TRUE(std::isnan(results[0].accuracy));
    EXPECT_TRUE(std::isnan(results[0].block_loss[0]));
    EXPECT_EQ(results[1].loss, evaluate_one(predictor, text(16, 10)).loss);
}

TEST_F(Evaluation, SharedStreamsAreTheNetworksOwn) {
    const std::uint64_t starts[] = {0, 7};
    Batch batch(gather_windows(split, starts, 16, at::kCPU));
    const auto plain = run_blocks(*network, embed(*network, batch.ids()), 0, 2);
    const auto last = batch.stream_before(*network, 2);
    EXPECT_TRUE(same_bits(last, plain));
    const auto middle = batch.stream_before(*network, 1);
    EXPECT_TRUE(same_bits(middle, run_blocks(*network, embed(*network, batch.ids()), 0, 1)));
    EXPECT_TRUE(same_bits(batch.stream_before(*network, 0), embed(*network, batch.ids())));
    EXPECT_TRUE(batch.stream_before(*network, 2).is_same(last));
    // Usable under autograd: routers train on top of it.
    auto scale = at::ones({1}).requires_grad_(true);
    (middle * scale).sum().backward();
    EXPECT_NEAR(scale.grad().item<double>(), middle.sum().item<double>(), 1e-3);
}

TEST_F(Evaluation, WindowsPastTheEndAreRefused) {
    const std::uint64_t starts[] = {split.size() - 16};
    EXPECT_THROW(gather_windows(split, starts, 16, at::kCPU), std::out_of_range);
    EXPECT_NO_THROW(gather_windows(split, starts, 15, at::kCPU));
}

// Width 2, one head, inner 3, vocabulary 5, 4 positions, one block, counted by hand.
TEST(Cost, OfATinyNetworkByHand) {
    Geometry geometry;
    geometry.blocks = 1;
    geometry.width = 2;
    geometry.heads = 1;
    geometry.context = 4;
    geometry.vocabulary = 5;
    geometry.inner = 3;
    const NetworkPredictor tied(std::make_shared<Parameters>(lively_parameters(geometry, 1)));
    // norms 2·(2+2); c_attn 2·6+6, c_proj 2·2+2; c_fc 2·3+3, c_proj 3·2+2; final norm 4
    const std::int64_t inside = 8 + 18 + 6 + 9 + 8 + 4;
    const auto cost = tied.cost(3);
    EXPECT_EQ(cost.stored, inside + 10 + 8);
    EXPECT_EQ(cost.active, inside + 10 + 2);  // the whole head, a row of wpe
    EXPECT_EQ(cost.trained, 0);
    // multiply-adds: c_attn 12, c_proj 4, c_fc 6, c_proj 6, head 10; attention 2·width·(T+1) = 2·2·4 in FLOPs
    EXPECT_DOUBLE_EQ(cost.flops_per_token, 2 * (12 + 4 + 6 + 6 + 10) + 16);

    geometry.tied = false;
    const NetworkPredictor untied(std::make_shared<Parameters>(lively_parameters(geometry, 1)));
    EXPECT_EQ(untied.cost(3).stored, inside + 10 + 8 + 10);
    EXPECT_EQ(untied.cost(3).active, inside + 10 + 2 + 2);  // and a row of wte
    EXPECT_DOUBLE_EQ(untied.cost(3).flops_per_token, cost.flops_per_token);
}

// Token t attends to t+1 positions: a dot product of `width` and a sum of `width` each; the mean over t = 0 … T-1.
TEST(Cost, AttentionIsTheMeanOfTheCausalSum) {
    const auto geometry = small_geometry();
    const std::int64_t context = 7;
    double multiply_adds = 0;
    for (std::int64_t t = 0; t < context; ++t) multiply_adds += static_cast<double>((t + 1) * 2 * geometry.width);
    const double projections = 4.0 * 12 * 12;
    EXPECT_DOUBLE_EQ(attention_flops(geometry, context), 2 * (projections + multiply_adds / static_cast<double>(context)));
}

TEST(Cost, SharedTensorsAreStoredOnce) {
    const auto base = lively_parameters(small_geometry(), 1);
    auto specialist = base;
    specialist.set("h.0.mlp.c_fc.bias", base["h.0.mlp.c_fc.bias"] + 1);
    const Parameters* const both[] = {&base, &specialist};
    const Parameters* const one[] = {&base};
    EXPECT_EQ(stored_scalars(both), stored_scalars(one) + 48);
}

}  // namespace
}  // namespace cmsweep
