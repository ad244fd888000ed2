#include "cmsweep/model/training.hpp"

#include <cmath>
#include <fstream>
#include <limits>

#include <gmock/gmock.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

TrainingConfig short_config() {
    TrainingConfig config;
    config.steps = 12;
    config.batch = 4;
    config.context = 8;
    config.learning_rate = 1e-2;
    config.warmup = 2;
    return config;
}

at::Tensor leaf(std::initializer_list<float> values) {
    return at::tensor(std::vector<float>(values)).requires_grad_(true);
}

// AdamW by hand (Loshchilov & Hutter 2019, algorithm 2): p ← p − lr·wd·p − lr·m̂ / (√v̂ + ε), on the loss 3p.
TEST(Train, StepsEqualAdamWByHand) {
    TrainingConfig config;
    config.steps = 3;
    config.learning_rate = 0.1;
    config.schedule = "constant";
    config.gradient_clip = 0;
    std::vector<at::Tensor> trained{leaf({2.0F})};
    const auto curve = train(trained, config, [&](std::int64_t) { return (trained[0] * 3).sum(); }, {}, {});
    double p = 2, m = 0, v = 0;
    std::vector<double> losses;
    for (int step = 1; step <= 3; ++step) {
        losses.push_back(3 * p);
        m = 0.9 * m + 0.1 * 3;
        v = 0.99 * v + 0.01 * 9;
        p -= 0.1 * 0.1 * p;
        p -= 0.1 * (m / (1 - std::pow(0.9, step))) / (std::sqrt(v / (1 - std::pow(0.99, step))) + 1e-8);
    }
    EXPECT_NEAR(trained[0].item<float>(), p, 1e-6);  // float32 steps against double
    ASSERT_EQ(curve.loss.size(), 3U);
    for (int i = 0; i < 3; ++i) EXPECT_NEAR(curve.loss[static_cast<std::size_t>(i)], losses[static_cast<std::size_t>(i)], 1e-5);
}

// Adam's first step is sign(g) unless g is of the size of its ε = 1e-8, so the clip goes down there to be seen:
// gradients (3, 4) clipped to norm 1e-8 are (0.6, 0.8) x 1e-8, and g / (|g| + ε) gives 0.6/1.6 and 0.8/1.8.
TEST(Train, ClipsTheGlobalNorm) {
    TrainingConfig config;
    config.steps = 1;
    config.learning_rate = 1;
    config.schedule = "constant";
    config.weight_decay = 0;
    config.gradient_clip = 1e-8;
    std::vector<at::Tensor> trained{leaf({1.0F}), leaf({1.0F})};
    train(trained, config, [&](std::int64_t) { return trained[0].sum() * 3 + trained[1].sum() * 4; }, {}, {});
    EXPECT_NEAR(trained[0].item<float>(), 1 - 0.6 / 1.6, 1e-5);
    EXPECT_NEAR(trained[1].item<float>(), 1 - 0.8 / 1.8, 1e-5);
}

TEST(Train, FollowsTheSchedule) {
    auto config = short_config();
    std::vector<at::Tensor> trained{leaf({1.0F, -1.0F})};
    const auto curve = train(trained, config, [&](std::int64_t) { return trained[0].square().sum(); }, {}, {});
    ASSERT_EQ(curve.learning_rate.size(), 12U);
    for (std::int64_t step = 0; step < 12; ++step) EXPECT_EQ(curve.learning_rate[static_cast<std::size_t>(step)], config.rate(step));
    EXPECT_NEAR(curve.learning_rate.back(), 1e-3, 1e-12);
}

TEST(Train, TellsEveryFinishedStep) {
    auto config = short_config();
    config.steps = 3;
    std::vector<at::Tensor> trained{leaf({1.0F})};
    std::vector<std::int64_t> finished;
    TrainingHooks hooks;
    hooks.finished = [&](std::int64_t step) { finished.push_back(step); };
    train(trained, config, [&](std::int64_t) { return trained[0].sum(); }, hooks, {});
    EXPECT_EQ(finished, (std::vector<std::int64_t>{0, 1, 2, 3}));
}

TEST(Train, ANonFiniteLossOrGradientNamesItsStep) {
    const auto config = short_config();
    std::vector<at::Tensor> trained{leaf({1.0F})};
    const auto nan_at_five = [&](std::int64_t step) {
        return trained[0].sum() * (step == 5 ? std::numeric_limits<float>::quiet_NaN() : 1.0F);
    };
    EXPECT_THAT([&] { train(trained, config, nan_at_five, {}, {}); },
                ThrowsMessage<NumericError>(testing::AllOf(HasSubstr("step 5"), HasSubstr("nan"))));
    trained = {leaf({0.0F})};
    const auto steep = [&](std::int64_t) { return trained[0].sqrt().sum(); };
    EXPECT_THAT([&] { train(trained, config, steep, {}, {}); }, ThrowsMessage<NumericError>(HasSubstr("gradient")));
}

class FineTune : public testing::Test {
protected:
    ScratchFolder folder;
    StoredSplit text = make_split(folder.path() / "tokens", 400, 20, 1);
    StoredSplit other = make_split(folder.path() / "tokens", 300, 20, 2);
    Parameters start = lively_parameters(small_geometry(), 1);
    TrainingConfig config = short_config();
    std::map<std::int64_t, Parameters> checkpoints;

    WindowSampler sampler(std::uint64_t seed = 3) const {
        return {{{&text, 0.5}, {&other, 0.5}}, config.context, config.batch, seed, "fine-tune", ""};
    }
    FineTuneResult run(const ResumePoint& resume = {}, const std::function<void()>& safe_point = {}) {
        auto windows = sampler();
        const std::vector<std::int64_t> degrees{0, 3, 7, 12};
        return fine_tune(start, config, windows, degrees, "float32",
                         [&](std::int64_t degree, const Parameters& parameters) { checkpoints[degree] = parameters; }, safe_point, resume);
    }
    ResumePoint resume_point(const std::string& identity = "trajectory") const { return {folder.path() / "state", identity, 1e9, {}, {}}; }
    /// A safe point that asks to stop when it is reached for the `n`-th time.
    static std::function<void()> stop_at(int n) {
        return [n, count = 0]() mutable {
            if (++count == n) throw StopRequest();
        };
    }
};

TEST_F(FineTune, LearnsAndLeavesTheRestShared) {
    config.steps = 60;
    const auto result = run();
    EXPECT_LT(result.curve.loss.back(), 0.8 * result.curve.loss.front());
    EXPECT_TRUE(result.parameters["wte.weight"].is_same(start["wte.weight"]));
    EXPECT_FALSE(same_bits(result.parameters["h.0.mlp.c_fc.bias"], start["h.0.mlp.c_fc.bias"]));
    EXPECT_FALSE(result.parameters["h.0.mlp.c_fc.bias"].requires_grad());
    EXPECT_TRUE(same_bits(start, lively_parameters(small_geometry(), 1)));  // nobody wrote into the start
}

TEST_F(FineTune, CheckpointsAreSnapshotsOfOneTrajectory) {
    const auto result = run();
    ASSERT_EQ(checkpoints.size(), 3U);  // 0 is the start itself
    EXPECT_TRUE(same_bits(checkpoints.at(12), result.parameters));
    EXPECT_FALSE(same_bits(checkpoints.at(3), checkpoints.at(7)));
    EXPECT_FALSE(checkpoints.at(3)["h.0.mlp.c_fc.weight"].requires_grad());
    EXPECT_TRUE(checkpoints.at(3)["wpe.weight"].is_same(start["wpe.weight"]));
    // With a constant rate a shorter trajectory is the beginning of a longer one.
    config.schedule = "constant";
    run();
    const auto at_seven = checkpoints.at(7);
    config.steps = 7;
    EXPECT_TRUE(same_bits(run().parameters, at_seven));
}

TEST_F(FineTune, AStoppedAndContinuedRunHasTheSameBits) {
    for (const char* trainable : {"mlp", "all"}) {
        config.trainable = trainable;
        checkpoints.clear();
        const auto whole = run();
        const auto expected = checkpoints;
        checkpoints.clear();
        EXPECT_THROW(run(resume_point(), stop_at(6)), StopRequest);  // 5 steps done
        EXPECT_TRUE(std::filesystem::exists(resume_point().file));
        EXPECT_EQ(checkpoints.size(), 1U);
        EXPECT_THROW(run(resume_point(), stop_at(4)), StopRequest);  // 3 more
        EXPECT_EQ(checkpoints.size(), 2U);
        checkpoints.erase(3);
        const auto continued = run(resume_point());
        EXPECT_TRUE(same_bits(whole.parameters, continued.parameters)) << trainable;
        EXPECT_EQ(whole.curve.loss, continued.curve.loss);
        EXPECT_EQ(whole.curve.learning_rate, continued.curve.learning_rate);
        EXPECT_FALSE(checkpoints.contains(3));  // it was made before the stop and is not made again
        EXPECT_TRUE(same_bits(checkpoints.at(7), expected.at(7)));
        EXPECT_FALSE(std::filesystem::exists(resume_point().file));
    }
}

TEST_F(FineTune, SavingOnTheWayChangesNothing) {
    const auto whole = run();
    auto often = resume_point();
    often.save_seconds = 0;
    EXPECT_TRUE(same_bits(whole.parameters, run(often).parameters));
}

TEST_F(FineTune, AForeignOrDamagedStateIsIgnored) {
    const auto whole = run();
    EXPECT_THROW(run(resume_point("another"), stop_at(6)), StopRequest);
    EXPECT_TRUE(same_bits(whole.parameters, run(resume_point()).parameters));

    EXPECT_THROW(run(resume_point(), stop_at(6)), StopRequest);
    auto bytes = read_text(resume_point().file);
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 4);
    write_atomically(resume_point().file, bytes);
    EXPECT_TRUE(same_bits(whole.parameters, run(resume_point()).parameters));
    write_atomically(resume_point().file, bytes.substr(0, 100));
    EXPECT_TRUE(same_bits(whole.parameters, run(resume_point()).parameters));
}

TEST_F(FineTune, TheSameTwiceWhateverRanBetween) {
    const auto first = run();
    {
        auto windows = sampler(99);
        fine_tune(lively_parameters(small_geometry(), 5), config, windows, {}, "float32", {}, {}, {});
    }
    EXPECT_TRUE(same_bits(first.parameters, run().parameters));
    auto windows = sampler(4);
    EXPECT_FALSE(same_bits(first.parameters, fine_tune(start, config, windows, {}, "float32", {}, {}, {}).parameters));
}

TEST_F(FineTune, TheFirstLossIsTheMeanCrossEntropyOfTheFirstBatch) {
    auto windows = sampler();
    const auto batch = windows.next(at::kCPU);
    const auto log_p = at::log_softmax(forward(start, batch.narrow(1, 0, 8)).to(at::kDouble), -1);
    const auto expected = -log_p.gather(2, batch.narrow(1, 1, 8).unsqueeze(2)).mean().item<double>();
    EXPECT_NEAR(run().curve.loss.front(), expected, 1e-5);  // float32 mean of 32 values
}

TEST_F(FineTune, L2spPullsTowardsTheStart) {
    const auto distance = [&](const Parameters& parameters) {
        double sum = 0;
        for (const auto& name : trainable_names(small_geometry(), "mlp")) sum += (parameters[name] - start[name]).square().sum().item<double>();
        return sum;
    };
    const auto free = run();
    config.l2sp = 10;
    const auto pulled = run();
    EXPECT_LT(distance(pulled.parameters), 0.8 * distance(free.parameters));
    EXPECT_EQ(free.curve.loss[0], pulled.curve.loss[0]);  // no distance yet
    EXPECT_NE(free.curve.loss[1], pulled.curve.loss[1]);
}

TEST_F(FineTune, BfloatTrainsTheSameFloat32Tensors) {
    auto windows = sampler();
    config.steps = 40;
    const auto result = fine_tune(start, config, windows, {}, "bfloat16", {}, {}, {});
    EXPECT_EQ(result.parameters["h.0.mlp.c_fc.weight"].scalar_type(), at::kFloat);
    EXPECT_LT(result.curve.loss.back(), 0.9 * result.curve.loss.front());
    EXPECT_NE(result.curve.loss[0], run().curve.loss[0]);
}

class Sampler : public FineTune {};

TEST_F(Sampler, WindowsLieInTheTextAndCoverBothEnds) {
    WindowSampler windows({{&text, 1}}, 398, 8, 1, "test", "");  // 400 tokens: starts 0 and 1 only
    std::set<std::int64_t> firsts;
    for (int i = 0; i < 4; ++i) {
        const auto batch = windows.next(at::kCPU);
        ASSERT_EQ(batch.sizes(), (at::IntArrayRef{8, 399}));
        for (std::int64_t row = 0; row < 8; ++row) {
            const auto start_token = batch[row][0].item<std::int64_t>();
            firsts.insert(start_token);
            const std::uint64_t start_index = start_token == text.token(0) ? 0 : 1;
            for (std::int64_t t = 0; t < 399; ++t)
                ASSERT_EQ(batch[row][t].item<std::int64_t>(), text.token(start_index + static_cast<std::uint64_t>(t)));
        }
    }
    ASSERT_NE(text.token(0), text.token(1));
    EXPECT_EQ(firsts.size(), 2U);
}

TEST_F(Sampler, SharesBecomeFixedCounts) {
    // 5 windows at 0.5 : 0.5 are 3 + 2: equal remainders, the first source first; at 0.3 : 0.7 of 10 they are 3 + 7.
    const auto same_rows = [](const at::Tensor& a, const at::Tensor& b, std::int64_t rows) {
        return same_bits(a.narrow(0, 0, rows), b.narrow(0, 0, rows));
    };
    WindowSampler even({{&text, 0.5}, {&other, 0.5}}, 8, 5, 1, "test", "");
    WindowSampler tilted({{&text, 0.3}, {&other, 0.7}}, 8, 10, 1, "test", "");
    WindowSampler alone({{&text, 1}}, 8, 10, 1, "test", "");
    WindowSampler alone_other({{&other, 1}}, 8, 10, 1, "test", "");
    const auto a = even.next(at::kCPU), b = tilted.next(at::kCPU), c = alone.next(at::kCPU), d = alone_other.next(at::kCPU);
    EXPECT_TRUE(same_rows(a, c, 3));
    EXPECT_FALSE(same_rows(a, c, 4));
    EXPECT_TRUE(same_rows(b, c, 3));
    EXPECT_FALSE(same_rows(b, c, 4));
    EXPECT_TRUE(same_bits(b.narrow(0, 3, 7), d.narrow(0, 0, 7)));
}

TEST_F(Sampler, StreamsAreNamedBySeedPurposeTextAndSalt) {
    const auto first = [&](std::uint64_t seed, std::string_view purpose, std::string_view salt) {
        return WindowSampler({{&text, 1}}, 8, 16, seed, purpose, salt).next(at::kCPU);
    };
    const auto reference = first(1, "a", "");
    EXPECT_TRUE(same_bits(reference, first(1, "a", "")));
    EXPECT_FALSE(same_bits(reference, first(2, "a", "")));
    EXPECT_FALSE(same_bits(reference, first(1, "b", "")));
    EXPECT_FALSE(same_bits(reference, first(1, "a", "1")));
}

TEST_F(Sampler, StateContinues) {
    auto windows = sampler();
    windows.next(at::kCPU);
    const auto state = windows.state();
    const auto expected = windows.next(at::kCPU);
    auto fresh = sampler();
    fresh.restore(state);
    EXPECT_TRUE(same_bits(expected, fresh.next(at::kCPU)));
}

TEST_F(Sampler, TextShorterThanAWindowIsRefused) {
    EXPECT_THAT([&] { WindowSampler({{&other, 1}}, 300, 2, 1, "test", ""); },
                ThrowsMessage<InputError>(testing::AllOf(HasSubstr("300 tokens"), HasSubstr("at least 301"))));
    EXPECT_NO_THROW(WindowSampler({{&other, 1}}, 299, 2, 1, "test", ""));
}

}  // namespace
}  // namespace cmsweep
