// Time and memory of the parameter-space methods on 124M float32 parameters in the tensors of GPT-2 small, two members.
// Every iteration also times a read-read-write stream of the same bytes and `average`, one after the other and in processor
// time, so that ratios hold on a machine that does other things. Goals: average at 60 % of the stream or more; ties and dare within 8 x average;
// peak memory at most inputs + one output + 10 %.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

#include "cmsweep/base/checkpoint.hpp"
#include "cmsweep/base/random.hpp"
#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/core/merge/weights.hpp"

namespace {

using namespace cmsweep;
using Values = std::vector<std::vector<float>>;  // one vector a tensor

/// GPT-2 small: a base, two specialists whose every parameter differs from it, room for one merged model.
struct Models {
    ParameterMergeInput input;
    Values base, first, second, out;
    std::vector<std::span<float>> spans;
    std::size_t parameters = 0;

    Models() {
        const Geometry geometry{.blocks = 12, .width = 768, .heads = 12, .context = 1024, .vocabulary = 50257, .inner = 3072};
        Stream stream(1, "bench");
        for (const auto& spec : tensor_specs(geometry)) {
            input.tensors.push_back({spec.name, spec.shape, block_of(spec.name) >= 0 && spec.shape.size() == 2});
            const auto size = static_cast<std::size_t>(spec.elements());
            parameters += size;
            for (auto* values : {&base, &first, &second, &out}) values->emplace_back(size);
            for (std::size_t e = 0; e < size; ++e) {
                // Two numbers of about the size and spread of weights and of a fine-tuning's changes, from one draw.
                const std::uint64_t draw = stream.next();
                const auto part = [&](int shift) { return static_cast<float>(static_cast<std::int32_t>(draw >> shift & 0x1fffff) - 0x100000) / 0x100000; };
                base.back()[e] = 0.05f * part(0);
                first.back()[e] = base.back()[e] + 0.003f * part(21) * part(0);
                second.back()[e] = base.back()[e] + 0.003f * part(42) * part(21);
            }
        }
        input.base = {base.begin(), base.end()};
        input.members = {{first.begin(), first.end()}, {second.begin(), second.end()}};
        spans = {out.begin(), out.end()};
        input.heads = geometry.heads;
    }

    double bytes() const { return 4.0 * 4.0 * static_cast<double>(parameters); }

    void stream_pass() {
        for (std::size_t t = 0; t < out.size(); ++t) {
            const float *a = first[t].data(), *b = second[t].data();
            float* to = out[t].data();
            for (std::size_t e = 0; e < out[t].size(); ++e) to[e] = a[e] + b[e];
        }
        benchmark::ClobberMemory();
    }

    void merge(const MethodInfo& method) {
        input.setting = complete_setting(method.parameters, nlohmann::json::object());
        input.weights = member_weights(input.setting, input.members.size());
        nlohmann::json notes;
        method.merge(input, spans, notes);
        benchmark::ClobberMemory();
    }
};

Models& models() {
    static Models made;
    return made;
}

/// This thread's time on a processor, so that other programs' turns do not count.
double processor_seconds() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename Function>
double seconds(Function&& run) {
    const double start = processor_seconds();
    run();
    return processor_seconds() - start;
}

double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

/// Resident memory in bytes: "VmRSS" now, "VmHWM" at its highest since forget_peak().
double resident(const std::string& line) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        double kilobytes = 0;
        if (word == line + ":" && status >> kilobytes) return 1024 * kilobytes;
    }
    return 0;
}
void forget_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

void merge(benchmark::State& state, const std::string& name) {
    auto& given = models();
    const MethodInfo &method = *find_method(name), &average = *find_method("average");
    std::vector<double> of_stream, of_average;
    double fastest_stream = 1e9, fastest = 1e9, highest = 0;
    for (auto _ : state) {
        const double stream = seconds([&] { given.stream_pass(); });
        const double averaging = seconds([&] { given.merge(average); });
        const double before = resident("VmRSS");
        forget_peak();
        const double merging = seconds([&] { given.merge(method); });
        highest = std::max(highest, resident("VmHWM") - before);
        state.SetIterationTime(merging);
        of_stream.push_back(stream / merging);
        of_average.push_back(merging / averaging);
        fastest_stream = std::min(fastest_stream, stream);
        fastest = std::min(fastest, merging);
    }
    state.counters["stream_GB/s"] = 0.75 * given.bytes() / fastest_stream / 1e9;
    state.counters["of_stream"] = median(of_stream);
    state.counters["of_stream_best"] = fastest_stream / fastest;
    state.counters["x_average"] = median(of_average);
    state.counters["memory"] = 1 + highest / given.bytes();  // over inputs and one output
}

}  // namespace

int main(int argc, char** argv) {
    // Not those that learn from text, and not those whose time goes into decompositions or assignments.
    for (const auto& method : merge_methods()) {
        if (method.family != Family::parameter || method.needs_text || method.name == "tsv" || method.name == "iso_c") continue;
        benchmark::RegisterBenchmark(method.name.c_str(), [name = method.name](benchmark::State& state) { merge(state, name); })
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond)
            ->Iterations(7);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    models();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
