// The loop of the fuzz tests: fuzz FORMAT [--seconds S] [--seed N] [--input FILE]. Ends with 1 at the first finding, which
// it leaves in a file for --input.
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <dlfcn.h>
#include <execinfo.h>
#include <pthread.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <typeinfo>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "fuzz.hpp"

// Of LLVM's <sanitizer/allocator_interface.h>, which GCC's library implements but does not declare.
extern "C" {
std::size_t __sanitizer_get_allocated_size(const volatile void* pointer);
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void*, std::size_t), void (*freed)(const volatile void*));
}

// What HDF5 forgets to free of a file that it refuses.
extern "C" const char* __lsan_default_suppressions() { return "leak:libhdf5"; }
// As on a machine with little memory: what is beyond a quarter of a gibibyte fails; our own code that asks for it dies.
extern "C" const char* __asan_default_options() { return "handle_abort=1:max_allocation_size_mb=256:allocator_may_return_null=1:detect_stack_use_after_return=1"; }

namespace cmsweep::fuzz {
namespace {

/// Of processor time, so that a loaded machine changes nothing.
constexpr int kMostSeconds = 20;

// What reading has allocated, as the sanitizer's hooks tell.
struct {
    std::atomic<bool> counting = false;
    std::atomic<std::ptrdiff_t> live = 0;
    std::atomic<std::ptrdiff_t> most = 0;
    std::ptrdiff_t limit = 0;
} memory;

// What is being read, for the message of a process that dies.
struct {
    const Format* format = nullptr;
    std::uint64_t seed = 0;
    std::uint64_t number = 0;
    const std::string* input = nullptr;
    bool told = false;
} now_reading;

void leave_input() {
    if (now_reading.told || now_reading.format == nullptr || now_reading.input == nullptr) return;
    now_reading.told = true;
    memory.counting = false;
    char path[200];
    std::snprintf(path, sizeof path, "fuzz-%s-%llu-%llu.input", now_reading.format->name, static_cast<unsigned long long>(now_reading.seed),
                  static_cast<unsigned long long>(now_reading.number));
    if (std::FILE* file = std::fopen(path, "wb")) {
        std::fwrite(now_reading.input->data(), 1, now_reading.input->size(), file);
        std::fclose(file);
    }
    std::fprintf(stderr, "\nfuzz %s: seed %llu, input %llu of %zu bytes is a finding; again: fuzz %s --input %s/%s\n", now_reading.format->name,
                 static_cast<unsigned long long>(now_reading.seed), static_cast<unsigned long long>(now_reading.number), now_reading.input->size(),
                 now_reading.format->name, std::filesystem::current_path().c_str(), path);
}

[[noreturn]] void finding(const std::string& what) {
    std::fprintf(stderr, "\nfuzz: %s\n", what.c_str());
    leave_input();
    std::_Exit(1);
}

/// Does libhdf5 itself ask for it? It believes the sizes that a file's object headers claim, reserves that much, and refuses the file
/// when the bytes are not there; what the code under test asks for is bounded all the same.
bool asked_by_hdf5() {
    std::array<void*, 16> frames{};
    const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
    // backtrace() is the sanitizer's, too: its own frame comes first, then ours, then those of malloc
    bool before = false;
    for (int i = 0; i < count; ++i) {
        Dl_info place{};
        if (::dladdr(frames[static_cast<std::size_t>(i)], &place) == 0 || place.dli_fname == nullptr) return false;
        const bool allocator = std::strstr(place.dli_fname, "libasan") != nullptr;
        if (before && !allocator && i > 1) return std::strstr(place.dli_fname, "libhdf5") != nullptr;
        before = allocator;
    }
    return false;
}

void allocated(const volatile void*, std::size_t size) {
    if (!memory.counting) return;
    const auto live = memory.live += static_cast<std::ptrdiff_t>(size);
    if (live > memory.limit) {
        memory.counting = false;
        if (asked_by_hdf5()) {  // what comes besides stays within the same bound
            memory.limit += static_cast<std::ptrdiff_t>(size);
            memory.counting = true;
            return;
        }
        std::fprintf(stderr, "fuzz: an allocation of %zu bytes, %td live, where %td are allowed for a file of %zu bytes\n", size, live, memory.limit,
                     now_reading.input->size());
        __sanitizer_print_stack_trace();
        leave_input();
        std::_Exit(1);
    }
    if (live > memory.most) memory.most = live;
}

void freed(const volatile void* pointer) {
    if (!memory.counting || pointer == nullptr) return;
    memory.live -= static_cast<std::ptrdiff_t>(__sanitizer_get_allocated_size(pointer));
}

extern "C" void too_slow(int) {
    std::fprintf(stderr, "fuzz: over %d s of processor time\n", kMostSeconds);
    __sanitizer_print_stack_trace();
    leave_input();
    std::_Exit(1);
}

void set_timer(int seconds) {
    const itimerval value{{0, 0}, {seconds, 0}};
    ::setitimer(ITIMER_VIRTUAL, &value, nullptr);
}

/// Was the file accepted?
bool read_one(const Format& format, const std::string& input, std::ptrdiff_t& most, std::string* refusal = nullptr) {
    now_reading.input = &input;
    memory.limit = static_cast<std::ptrdiff_t>(format.base + format.factor * input.size());
    memory.live = memory.most = 0;
    bool accepted = true;
    set_timer(kMostSeconds);
    memory.counting = true;
    try {
        format.read(input);
    } catch (const InputError& error) {
        accepted = false;
        if (refusal != nullptr) *refusal = error.what();
    } catch (const StorageError& error) {
        accepted = false;
        if (refusal != nullptr) *refusal = error.what();
    } catch (const std::exception& error) {
        finding(std::string(typeid(error).name()) + ": " + error.what());
    }
    memory.counting = false;
    set_timer(0);
    most = memory.most;
    return accepted;
}

std::vector<Format> all_formats() {
    std::vector<Format> formats;
    for (const auto& some : {config_formats(), safetensors_formats(), checkpoint_formats(), tokenizer_formats(), text_formats(), journal_formats(), store_formats(),
                             run_formats()}) {
        formats.insert(formats.end(), some.begin(), some.end());
    }
    return formats;
}

int run(const Format& format, double seconds, std::uint64_t seed) {
    now_reading.format = &format;
    now_reading.seed = seed;
    std::printf("fuzz %s: seed %llu, %g s\n", format.name, static_cast<unsigned long long>(seed), seconds);
    std::fflush(stdout);
    const auto seeds = format.seeds();
    double share = 0;
    std::ptrdiff_t most = 0;
    for (const auto& valid : seeds) {
        std::string refusal;
        if (!read_one(format, valid, most, &refusal)) finding("a valid file is refused: " + refusal);
    }
    std::uint64_t accepted = 0;
    const auto start = std::chrono::steady_clock::now();
    std::uint64_t& number = now_reading.number;
    // A whole number of rounds over the seeds however slow the machine: a test of no inputs would prove nothing.
    while (number < 4 * seeds.size() || std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds) {
        Draw draw(Stream(seed, "fuzz", {format.name, std::to_string(++number)}));
        std::string input = seeds[number % seeds.size()];
        if (format.mutate && !draw.once_in(3)) format.mutate(input, draw);
        if (!format.mutate || draw.once_in(2)) mutate_bytes(input, draw, seeds, format.words);
        accepted += read_one(format, input, most) ? 1 : 0;
        share = std::max(share, static_cast<double>(most) / static_cast<double>(format.base + format.factor * input.size()));
    }
    const auto count = number;
    now_reading = {};
    std::printf("fuzz %s: %llu inputs, %llu accepted, no finding; at most %.0f %% of the allowed memory\n", format.name,
                static_cast<unsigned long long>(count), static_cast<unsigned long long>(accepted), 100 * share);
    return 0;
}

[[noreturn]] void usage() {
    std::fprintf(stderr, "usage: fuzz FORMAT [--seconds S] [--seed N] [--input FILE]\nformats:");
    for (const auto& format : all_formats()) std::fprintf(stderr, " %s", format.name);
    std::fprintf(stderr, "\n");
    std::exit(2);
}

}  // namespace
}  // namespace cmsweep::fuzz

int main(int count, char** arguments) {
    using namespace cmsweep::fuzz;
    double seconds = 10;
    std::uint64_t seed = 1;
    std::string input;
    if (count < 2 || count % 2 != 0) usage();
    for (int i = 2; i < count; i += 2) {
        if (!std::strcmp(arguments[i], "--seconds")) seconds = std::stod(arguments[i + 1]);
        else if (!std::strcmp(arguments[i], "--seed")) seed = std::stoull(arguments[i + 1]);
        else if (!std::strcmp(arguments[i], "--input")) input = arguments[i + 1];
        else usage();
    }
    __sanitizer_set_death_callback(leave_input);
    __sanitizer_install_malloc_and_free_hooks(allocated, freed);
    std::signal(SIGVTALRM, too_slow);
    // What a child process dies of is for its parent to see.
    ::pthread_atfork(nullptr, nullptr, [] {
        memory.counting = false;
        now_reading = {};
        set_timer(0);
    });
    for (const auto& format : all_formats()) {
        if (format.name != std::string(arguments[1])) continue;
        if (input.empty()) return run(format, seconds, seed);
        now_reading.format = &format;
        const auto text = cmsweep::read_text(input);
        std::ptrdiff_t most = 0;
        std::string refusal;
        const bool accepted = read_one(format, text, most, &refusal);
        std::printf("fuzz %s: %s is %s%s, %td bytes of memory\n", format.name, input.c_str(), accepted ? "accepted" : "refused: ", refusal.c_str(), most);
        return 0;
    }
    usage();
}
