#include "cmsweep/model/features.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "../base/limited_memory.hpp"
#include "../base/small_files.hpp"
#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/model/device.hpp"
#include "fixtures.hpp"

namespace cmsweep {
namespace {

/// Numbers that depend on the token, the block and the site only, so that batches of any size give the same bits.
class Numbers : public Predictor {
public:
    static constexpr std::int64_t kBlocks = 12;  // more than ten: their names do not sort as their numbers

    explicit Numbers(std::int64_t vocabulary, std::int64_t width) {
        Stream stream(3, "numbers");
        table_ = at::empty({vocabulary, width}, at::kFloat);
        for (std::int64_t i = 0; i < table_.numel(); ++i) table_.data_ptr<float>()[i] = static_cast<float>(stream.normal());
    }
    TokenScores score(Batch&) const override { return {}; }
    Cost cost(std::int64_t) const override { return {}; }
    bool show_stream(Batch& batch, const ForwardHooks& hooks) const override {
        for (std::int64_t block = 0; block < kBlocks; ++block) {
            if (hooks.mlp_output) hooks.mlp_output(block, of(batch.ids(), "mlp_output", block));
            if (hooks.residual) hooks.residual(block, of(batch.ids(), "residual", block));
        }
        return true;
    }
    /// [B, T] -> [B, T, width].
    at::Tensor of(const at::Tensor& ids, const std::string& site, std::int64_t block) const {
        return table_.index_select(0, ids.reshape({-1})).view({ids.size(0), ids.size(1), -1}) * static_cast<float>(block + 1) +
               (site == "residual" ? 0.5F : 0.25F);
    }

private:
    at::Tensor table_;
};

std::vector<std::string> names_in(const std::filesystem::path& folder) {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) names.push_back(entry.path().filename());
    return names;
}

/// What a child process that does this ends with, as waitpid(2) gives it. An exception is exit code 1.
int status_of_child(const std::function<void()>& action) {
    const pid_t child = ::fork();
    if (child == 0) {
        try {
            set_threads(1);  // the parent's threads are not here
            action();
            ::_exit(0);
        } catch (const std::exception& error) {
            std::fprintf(stderr, "in the child: %.200s\n", error.what());
            ::_exit(1);
        }
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return status;
}

class WrittenFeatures : public testing::Test {
protected:
    using Written = std::shared_ptr<const SafetensorsFile>;

    ScratchFolder folder;
    std::filesystem::path file = folder.path() / "features" / "f";
    StoredSplit split = make_split(folder.path(), 16 * 140 + 1, 20, 1);
    std::shared_ptr<const Parameters> network = std::make_shared<Parameters>(lively_parameters(small_geometry(), 1));
    NetworkPredictor predictor{network};
    // 140 windows: a batch of 128 and one of 12.
    EvaluationText probe{&split, evaluation_starts(split.digest(), split.size(), 16, -1), 16};
    const std::vector<std::string> both = {"residual", "mlp_output"};

    std::unique_ptr<SafetensorsWriter> write(const Predictor& from, const std::string& pooling, const std::vector<std::string>& sites,
                                             const std::function<void()>& safe_point = {}) const {
        return write_features(file, from, probe, sites, pooling, at::kCPU, "float32", safe_point);
    }
    Written written(const std::string& pooling, const std::vector<std::string>& sites = {"residual", "mlp_output"}) const {
        return std::make_shared<const SafetensorsFile>(write(predictor, pooling, sites)->unnamed());
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

TEST_F(WrittenFeatures, MeanLastAndTokenPoolingEqualTheNaiveOnes) {
    const auto mean = written("mean"), last = written("last"), token = written("token");
    ASSERT_EQ(mean->tensors().size(), 4U);
    ASSERT_EQ(load_features(mean, "mlp_output", 1).rows(), 140);
    ASSERT_EQ(load_features(token, "residual", 0).rows(), 140 * 16);
    ASSERT_EQ(load_features(mean, "residual", 0).cols(), 12);
    for (const std::size_t w : {std::size_t{0}, std::size_t{127}, std::size_t{139}})
        for (const std::int64_t block : {0, 1}) {
            const auto [stream, output] = naive(w, block);
            const auto row = static_cast<Eigen::Index>(w);
            for (Eigen::Index c = 0; c < 12; ++c) {
                double sum = 0;
                for (int t = 0; t < 16; ++t) sum += output[t][c].item<double>();
                // Batches of another size may round the last bits otherwise.
                EXPECT_NEAR(load_features(mean, "mlp_output", block).row(row)[c], sum / 16, 1e-5);
                EXPECT_NEAR(load_features(last, "residual", block).row(row)[c], stream[15][c].item<float>(), 1e-5);
                EXPECT_NEAR(load_features(token, "residual", block).row(row * 16 + 5)[c], stream[5][c].item<float>(), 1e-5);
            }
        }
}

TEST_F(WrittenFeatures, TheSameBitsAgainAndForFewerSites) {
    const auto first = written("mean"), again = written("mean"), one = written("mean", {"residual"});
    EXPECT_EQ(one->tensors().size(), 2U);
    for (const std::int64_t block : {0, 1}) {
        EXPECT_TRUE(load_features(first, "residual", block).matrix() == load_features(again, "residual", block).matrix());
        EXPECT_TRUE(load_features(first, "residual", block).matrix() == load_features(one, "residual", block).matrix());
    }
}

TEST_F(WrittenFeatures, BatchesGiveTheFileOfAllRowsAtOnce) {
    const Numbers numbers(20, 6);
    const auto ids = gather_windows(split, probe.starts, 16, at::kCPU).narrow(1, 0, 16);
    for (const std::string pooling : {"mean", "last", "token"}) {
        std::vector<at::Tensor> rows;
        std::vector<TensorToWrite> tensors;
        for (const std::string site : {"mlp_output", "residual"}) {
            for (std::int64_t block = 0; block < Numbers::kBlocks; ++block) {
                const auto stream = numbers.of(ids, site, block);
                auto pooled = stream.reshape({-1, 6});
                if (pooling == "last") pooled = stream.select(1, 15);
                if (pooling == "mean") {
                    auto sum = at::zeros({140, 6}, at::kDouble);
                    for (std::int64_t t = 0; t < 16; ++t) sum += stream.select(1, t).to(at::kDouble);
                    pooled = sum / 16.0;
                }
                rows.push_back(pooled.to(at::kFloat).contiguous());
                tensors.push_back({site + "." + std::to_string(block), "F32", {rows.back().size(0), 6},
                                   std::as_bytes(std::span(rows.back().data_ptr<float>(), static_cast<std::size_t>(rows.back().numel())))});
            }
        }
        write_safetensors(folder.path() / "whole", tensors, {{"format", "cmsweep-features"}});
        write(numbers, pooling, both)->commit();
        EXPECT_TRUE(read_text(file) == read_text(folder.path() / "whole")) << pooling;

        const auto stored = std::make_shared<const SafetensorsFile>(file);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const auto features = load_features(stored, i < 12 ? "mlp_output" : "residual", static_cast<std::int64_t>(i % 12));
            EXPECT_EQ(std::memcmp(features.row(0), rows[i].data_ptr(), rows[i].nbytes()), 0);
        }
    }
}

TEST_F(WrittenFeatures, LieInTheFileAndOutliveIt) {
    write(predictor, "last", both)->commit();
    auto stored = std::make_shared<const SafetensorsFile>(file);
    const auto* in_file = stored->bytes(*stored->find("residual.1")).data();
    const Features features = load_features(std::move(stored), "residual", 1);
    EXPECT_EQ(reinterpret_cast<const std::byte*>(features.row(0)), in_file);
    const FeatureMatrix before = features.matrix();
    std::filesystem::remove(file);
    EXPECT_TRUE(features.matrix() == before);
}

TEST_F(WrittenFeatures, AStopAKillOrAFullDiskLeavesNoFile) {
    const auto stop = [count = 0]() mutable {
        if (++count == 2) throw StopRequest();
    };
    EXPECT_THROW(write(predictor, "token", both, stop), StopRequest);
    EXPECT_TRUE(std::filesystem::is_empty(file.parent_path()));
    {
        // The first batch fits into the file, the second does not.
        const SmallFiles limit(4 * 140 * 16 * 12 * 4 - 1);
        EXPECT_THROW(write(predictor, "token", both), StorageError);
    }
    EXPECT_TRUE(std::filesystem::is_empty(file.parent_path()));
    const int status = status_of_child([&] {
        write(predictor, "token", both, [count = 0]() mutable {
            if (++count == 2) ::raise(SIGKILL);
        });
    });
    EXPECT_TRUE(WIFSIGNALED(status)) << status;
    const auto left = names_in(file.parent_path());
    ASSERT_EQ(left.size(), 1U);  // what the next start of a sweep removes
    EXPECT_TRUE(left[0].starts_with(".f.") && left[0].ends_with(".tmp")) << left[0];
}

TEST_F(WrittenFeatures, OtherFilesAreRefused) {
    const auto problem = [&](const std::string& site, std::int64_t block) -> std::string {
        try {
            load_features(std::make_shared<const SafetensorsFile>(file), site, block);
        } catch (const InputError& error) {
            return error.what();
        }
        return "none";
    };
    write(predictor, "last", both)->commit();
    EXPECT_EQ(problem("residual", 1), "none");
    EXPECT_NE(problem("residual", 2).find("no matrix residual.2"), std::string::npos);
    const auto text = read_text(file);
    write_atomically(file, text.substr(0, text.size() - 4));
    EXPECT_NE(problem("residual", 0).find("truncated"), std::string::npos);

    const std::map<std::string, std::string> format{{"format", "cmsweep-features"}};
    const std::vector<std::byte> bytes(9);
    write_safetensors(file, std::vector<TensorToWrite>{{"residual.0", "F32", {1, 2}, std::span(bytes).first(8)}});
    EXPECT_NE(problem("residual", 0).find("no features file"), std::string::npos);
    write_safetensors(file, std::vector<TensorToWrite>{{"residual.0", "F64", {1, 1}, std::span(bytes).first(8)}}, format);
    EXPECT_NE(problem("residual", 0).find("no matrix residual.0 of F32"), std::string::npos);
    write_safetensors(file, std::vector<TensorToWrite>{{"residual.0", "F32", {2}, std::span(bytes).first(8)}}, format);
    EXPECT_NE(problem("residual", 0).find("no matrix residual.0 of F32"), std::string::npos);
    const std::vector<TensorToWrite> odd{{"a", "U8", {1}, std::span(bytes).first(1)}, {"residual.0", "F32", {1, 2}, std::span(bytes).last(8)}};
    write_safetensors(file, odd, format);
    EXPECT_NE(problem("residual", 0).find("expected a multiple of 4"), std::string::npos);
}

TEST_F(WrittenFeatures, UnknownNamesAreRefused) {
    EXPECT_THROW(write(predictor, "median", both), InputError);
    EXPECT_THROW(write(predictor, "mean", {"attention"}), InputError);
}

TEST_F(WrittenFeatures, APredictorWithoutAStreamGivesNone) {
    class Blind : public Predictor {
        TokenScores score(Batch&) const override { return {}; }
        Cost cost(std::int64_t) const override { return {}; }
        bool show_stream(Batch&, const ForwardHooks&) const override { return false; }
    };
    EXPECT_EQ(write(Blind(), "mean", both), nullptr);
    EXPECT_FALSE(std::filesystem::exists(file.parent_path()));
}

TEST_F(WrittenFeatures, MemoryDoesNotGrowWithTheRows) {
    if (!kMemoryCanBeLimited) GTEST_SKIP() << "under AddressSanitizer";
    constexpr std::int64_t kWindows = 6400, kWidth = 24;
    constexpr std::size_t kBudget = std::size_t{16} << 20;
    const auto long_split = make_split(folder.path(), 16 * kWindows + 1, 20, 2);
    probe = {&long_split, evaluation_starts(long_split.digest(), long_split.size(), 16, -1), 16};
    ASSERT_EQ(probe.starts.size(), static_cast<std::size_t>(kWindows));
    const Numbers numbers(20, kWidth);
    // 12 blocks of 102,400 rows each: 118 MB.
    ASSERT_GT(Numbers::kBlocks * kWindows * 16 * kWidth * 4, 7 * static_cast<std::int64_t>(kBudget));

    const int status = status_of_child([&] {
        limit_memory(kBudget);
        const auto check = [&](const std::shared_ptr<const SafetensorsFile>& stored) {
            for (std::int64_t block = 0; block < Numbers::kBlocks; ++block) {
                const Features features = load_features(stored, "residual", block);
                for (std::size_t w = 0; w < probe.starts.size(); w += 128) {
                    const auto starts = std::span(probe.starts).subspan(w, 128);
                    const auto rows = numbers.of(gather_windows(long_split, starts, 16, at::kCPU).narrow(1, 0, 16), "residual", block);
                    if (std::memcmp(features.row(static_cast<Eigen::Index>(w) * 16), rows.data_ptr(), rows.nbytes()) != 0)
                        throw std::runtime_error("other rows");
                }
            }
        };
        write(numbers, "token", {"residual"})->commit();
        check(std::make_shared<const SafetensorsFile>(file));
        check(std::make_shared<const SafetensorsFile>(write(numbers, "token", {"residual"})->unnamed()));
    });
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;

    // The limit is one: features that lie in memory do not fit.
    const int in_memory = status_of_child([&] {
        limit_memory(kBudget);
        const SafetensorsFile stored(file);
        std::vector<FeatureMatrix> blocks;
        for (const auto& entry : stored.tensors()) {
            blocks.emplace_back(entry.shape[0], entry.shape[1]);
            stored.read_float32(entry, {blocks.back().data(), static_cast<std::size_t>(blocks.back().size())});
        }
    });
    EXPECT_TRUE(WIFEXITED(in_memory) && WEXITSTATUS(in_memory) == 1) << in_memory;
}

}  // namespace
}  // namespace cmsweep
