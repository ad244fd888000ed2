// Speed and memory of all comparisons of R representations, next to the machine's own rate of matrix products.
// Everything is one call of the library after the other, in one process with the threads that run.threads_per_rank would
// give it. similarity_usual_way.py runs this beside the usual way; see README.md.
//
// Environment: CMSWEEP_BENCH_THREADS (default: all cores), CMSWEEP_BENCH_FEATURES (a file of float32 numbers,
// R x n x p for the small case; default: pseudo-random), CMSWEEP_BENCH_VALUES (a file to write the R x R values to).
#include <omp.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include <Eigen/Core>
#include <benchmark/benchmark.h>

#include "cmsweep/base/files.hpp"
#include "cmsweep/core/similarity/metric.hpp"
#include "core/similarity/tile_product.hpp"

extern "C" void openblas_set_num_threads(int threads);

namespace {

using namespace cmsweep;

int thread_count() {
    const char* given = std::getenv("CMSWEEP_BENCH_THREADS");
    return given ? std::atoi(given) : static_cast<int>(std::thread::hardware_concurrency());
}

double peak_gib() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_maxrss) / (1 << 20);
}

/// A sweep's probe: one row a window, 32 document groups.
ProbeLayout layout_of(std::int64_t n) {
    ProbeLayout layout;
    layout.id = hash_text("bench");
    layout.windows = n;
    for (std::int64_t w = 0; w < n; ++w) layout.group.push_back(static_cast<std::int32_t>(w * 32 / n));
    return layout;
}

/// Something common to all representations and as much of their own.
class Numbers {
public:
    explicit Numbers(std::uint32_t seed) : own_(seed * 2654435761U + 1) {}
    void fill(std::span<float> numbers) {
        for (float& number : numbers) {
            common_ = common_ * 1664525U + 1013904223U;
            own_ = own_ * 1664525U + 1013904223U;
            number = static_cast<float>((common_ >> 8) + (own_ >> 8)) / 16777216.0F - 1.0F;
        }
    }

private:
    std::uint32_t common_ = 12345;
    std::uint32_t own_;
};

void fill(FeatureMatrix& features, std::uint32_t seed) {
    Numbers(seed).fill({features.data(), static_cast<std::size_t>(features.size())});
}

std::vector<FeatureMatrix> representations(Eigen::Index count, Eigen::Index n, Eigen::Index p, const char* file) {
    std::vector<FeatureMatrix> all(static_cast<std::size_t>(count), FeatureMatrix(n, p));
    std::ifstream in(file ? file : "", std::ios::binary);
    for (std::size_t r = 0; r < all.size(); ++r) {
        if (file) in.read(reinterpret_cast<char*>(all[r].data()), static_cast<std::streamsize>(all[r].size() * sizeof(float)));
        else fill(all[r], static_cast<std::uint32_t>(r));
    }
    if (file && !in) {
        std::fprintf(stderr, "%s: expected %ld x %ld x %ld float32 numbers\n", file, static_cast<long>(count), static_cast<long>(n),
                     static_cast<long>(p));
        std::exit(2);
    }
    return all;
}

struct Small {
    Eigen::Index count = 100, n = 1024, p = 768;
    const MetricInfo& metric = *find_metric("cka_linear");
    nlohmann::json setting = complete_setting(metric.parameters, nlohmann::json::object());
    ProbeLayout layout = layout_of(n);
    std::vector<FeatureMatrix> features = representations(count, n, p, std::getenv("CMSWEEP_BENCH_FEATURES"));
};

const Small& small() {
    static const Small data;
    return data;
}

PreparedBlocks prepare(const Small& data) {
    PreparedBlocks blocks;
    for (const auto& features : data.features) blocks.push_back(data.metric.prepare(features, data.layout, data.setting, {}));
    return blocks;
}

EntryMask upper(Eigen::Index count) {
    return EntryMask::NullaryExpr(count, count, [](auto i, auto j) { return i <= j; });
}

Eigen::MatrixXd compare(const Small& data, const PreparedBlocks& blocks, const ComparisonOptions& options) {
    return data.metric.compare(blocks, blocks, data.layout, data.setting, options, upper(data.count)).value;
}

/// Wall time and the CPU time of all threads. Several repetitions, of which the fastest tells most on a machine that is
/// not quiet.
void measured(benchmark::internal::Benchmark* benchmark, int iterations, int repetitions) {
    benchmark->UseRealTime()->MeasureProcessCPUTime()->Unit(benchmark::kMillisecond)->Iterations(iterations)->Repetitions(repetitions);
}

/// The machine's rate of float64 matrix products: OpenBLAS multiplies large matrices, every thread its own.
void MatrixProductRate(benchmark::State& state) {
    constexpr Eigen::Index kSize = 1536;
    const Eigen::MatrixXd a = Eigen::MatrixXd::Random(kSize, kSize);
    const Eigen::MatrixXd b = Eigen::MatrixXd::Random(kSize, kSize);
    openblas_set_num_threads(1);
    for (auto _ : state) {
        std::vector<std::thread> threads;
        for (int t = 0; t < thread_count(); ++t) {
            threads.emplace_back([&] {
                Eigen::MatrixXd c(kSize, kSize);
                c.noalias() = a.transpose() * b;
                benchmark::DoNotOptimize(c.data());
            });
        }
        for (auto& thread : threads) thread.join();
    }
    openblas_set_num_threads(thread_count());
    const double flops = 2.0 * kSize * kSize * kSize * thread_count();
    state.counters["flops"] = benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(MatrixProductRate)->Apply([](auto* b) { measured(b, 5, 5); });

void Prepare(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(prepare(small()));
}
BENCHMARK(Prepare)->Apply([](auto* b) { measured(b, 1, 5); });

/// The comparisons alone. flops counts what the products carry out: strips of 24 x 8 entries are whole, also where they
/// reach below the diagonal. asked_flops counts a multiply-add for every two blocks and every two rows i <= j, less than
/// which nobody can do.
void Products(benchmark::State& state) {
    const PreparedBlocks blocks = prepare(small());
    for (auto _ : state) benchmark::DoNotOptimize(compare(small(), blocks, {0, false}));
    const auto rate = [](double flops) { return benchmark::Counter(flops, benchmark::Counter::kIsIterationInvariantRate); };
    const auto pairs = [](Eigen::Index count) { return static_cast<double>(count * (count + 1)) / 2; };
    Eigen::Index entries = 0;
    for (Eigen::Index column = 0; column < small().count; column += kStripColumns) {
        const Eigen::Index last = std::min(small().count, column + kStripColumns) - 1;
        entries += (last / kStripRows + 1) * kStripRows * kStripColumns;
    }
    state.counters["flops"] = rate(2 * static_cast<double>(entries * RowOrder(small().layout).packed));
    state.counters["asked_flops"] = rate(2 * pairs(small().count) * pairs(small().n));
}
BENCHMARK(Products)->Apply([](auto* b) { measured(b, 3, 5); });
// Once more: the machine's rate may change meanwhile, and the products are held against it.
BENCHMARK(MatrixProductRate)->Name("MatrixProductRateAgain")->Apply([](auto* b) { measured(b, 5, 5); });

/// From features to all values.
void AllComparisons(benchmark::State& state) {
    Eigen::MatrixXd values;
    for (auto _ : state) values = compare(small(), prepare(small()), {0, false});
    if (const char* file = std::getenv("CMSWEEP_BENCH_VALUES")) {
        std::ofstream(file, std::ios::binary)
            .write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(double)));
    }
}
BENCHMARK(AllComparisons)->Apply([](auto* b) { measured(b, 1, 5); });

/// The same with 20 permutations and the jackknife over 32 groups.
void WithNullAndInterval(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(compare(small(), prepare(small()), {20, true}));
}
BENCHMARK(WithNullAndInterval)->Apply([](auto* b) { measured(b, 1, 3); });

void WithInterval(benchmark::State& state) {
    for (auto _ : state) benchmark::DoNotOptimize(compare(small(), prepare(small()), {0, true}));
}
BENCHMARK(WithInterval)->Apply([](auto* b) { measured(b, 1, 3); });

/// R = 200, n = 4096: 26 GB of Gram matrices if they were kept. Features come one at a time, as from a sweep's files.
/// Run it alone (--benchmark_filter=Large): the peak is the process's.
void Large(benchmark::State& state) {
    const Eigen::Index count = state.range(0), n = 4096, p = 768;
    const MetricInfo& metric = *find_metric("cka_linear");
    const nlohmann::json setting = nlohmann::json::object();
    const ProbeLayout layout = layout_of(n);
    for (auto _ : state) {
        PreparedBlocks blocks;
        FeatureMatrix features(n, p);
        for (Eigen::Index r = 0; r < count; ++r) {
            fill(features, static_cast<std::uint32_t>(r));
            blocks.push_back(metric.prepare(features, layout, setting, {}));
        }
        benchmark::DoNotOptimize(metric.compare(blocks, blocks, layout, setting, {0, true}, upper(count)));
    }
    state.counters["peak_GiB"] = peak_gib();
}
BENCHMARK(Large)->Arg(200)->UseRealTime()->Unit(benchmark::kSecond)->Iterations(1);

/// Features in a mapped file that is gone with them, as a sweep's are mapped.
Features mapped_features(Eigen::Index n, Eigen::Index p, std::uint32_t seed) {
    const std::filesystem::path file = std::filesystem::temp_directory_path() / ("cmsweep_bench_" + std::to_string(getpid()));
    {
        std::ofstream out(file, std::ios::binary);
        std::vector<float> row(static_cast<std::size_t>(p));
        Numbers numbers(seed);
        for (Eigen::Index i = 0; i < n; ++i) {
            numbers.fill(row);
            out.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
        }
    }
    auto mapping = std::make_shared<const MappedFile>(file);
    std::filesystem::remove(file);
    const auto* values = reinterpret_cast<const float*>(mapping->bytes().data());
    return {std::move(mapping), values, n, p};
}

/// Memory of this process's own: what the system cannot drop and read again from a file.
double own_mib() {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        if (double kib = 0; word == "RssAnon:" && status >> kib) return kib / 1024;
    }
    return 0;
}

/// Two blocks of all tokens of windows of 128: preparing them and comparing them. `own_MiB`: memory of the process's own at
/// its peak, as seen at safe points, beyond what it had before. Ends with plain values (0) or with null and interval (1).
void Tokens(benchmark::State& state) {
    const Eigen::Index windows = state.range(0) / 128, p = state.range(1);
    const MetricInfo& metric = *find_metric("cka_debiased");
    const nlohmann::json setting = nlohmann::json::object();
    ProbeLayout layout = layout_of(windows);
    layout.rows_per_window = 128;
    const Features x = mapped_features(layout.rows(), p, 1);
    const Features y = mapped_features(layout.rows(), p, 2);
    const double before = own_mib();
    double peak = before;
    ComparisonOptions options{state.range(2) == 0 ? 0 : 20, state.range(2) != 0};
    options.safe_point = [&] { peak = std::max(peak, own_mib()); };
    for (auto _ : state) {
        const PreparedBlocks a{metric.prepare(x, layout, setting, options.safe_point)};
        const PreparedBlocks b{metric.prepare(y, layout, setting, options.safe_point)};
        benchmark::DoNotOptimize(metric.compare(a, b, layout, setting, options, {}));
    }
    state.counters["own_MiB"] = peak - before;
    state.counters["features_MiB"] = 2 * static_cast<double>(x.size()) * sizeof(float) / (1 << 20);
}
BENCHMARK(Tokens)->ArgsProduct({{25600, 102400, 409600}, {768}, {0, 1}})->UseRealTime()->Unit(benchmark::kSecond)->Iterations(1);

}  // namespace

int main(int argc, char** argv) {
    omp_set_num_threads(thread_count());
    openblas_set_num_threads(thread_count());
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
