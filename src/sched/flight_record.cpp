#include "cmsweep/sched/flight_record.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

constexpr const char* kFlight = ".flight";
constexpr const char* kCrash = ".crash";
constexpr const char* kStopping = ".stopping";
constexpr const char* kAllStopping = "all.stopping";

struct CrashSignal {
    int number;
    const char* name;
    struct sigaction before;
};

// All that the handler may touch: plain memory, filled beforehand.
struct {
    char path[4096];
    char stopping[4096];
    char all_stopping[4096];
    CrashSignal signals[5] = {{SIGSEGV, "SIGSEGV", {}}, {SIGBUS, "SIGBUS", {}}, {SIGILL, "SIGILL", {}}, {SIGFPE, "SIGFPE", {}}, {SIGABRT, "SIGABRT", {}}};
    volatile std::sig_atomic_t in_task = 0;
} crash_state;

// open, write, close, sigaction and raise are async-signal-safe.
extern "C" void note_crash(int number) {
    for (auto& known : crash_state.signals) {
        if (known.number != number) continue;
        if (crash_state.in_task) {
            const int descriptor = ::open(crash_state.path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
            if (descriptor >= 0) {
                [[maybe_unused]] const auto written = ::write(descriptor, known.name, std::strlen(known.name));
                ::close(descriptor);
            }
        }
        ::sigaction(number, &known.before, nullptr);
    }
    ::raise(number);
}

void keep_path(const std::filesystem::path& path, char (&place)[4096]) {
    const auto text = path.string();
    place[0] = '\0';
    if (text.size() < sizeof place) std::copy_n(text.c_str(), text.size() + 1, place);
}

std::string stem(int rank) {
    char name[32];
    std::snprintf(name, sizeof name, "rank-%06d", rank);
    return name;
}

}  // namespace

FlightRecord::FlightRecord(const std::filesystem::path& folder, int rank) : path_(folder / (stem(rank) + kFlight)) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw StorageError("cannot open " + path_.string() + ": " + std::generic_category().message(errno));
    keep_path(std::filesystem::path(path_).replace_extension(kStopping), crash_state.stopping);
    keep_path(folder / kAllStopping, crash_state.all_stopping);
}

FlightRecord::~FlightRecord() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void FlightRecord::begin(const Task& task, bool alone) {
    end();
    const std::string note = task.id.hex() + (alone ? " alone " : " among ") + task.label + '\n';
    // Convenience, not a result: a full disk is the journal's to report.
    [[maybe_unused]] const auto written = ::pwrite(descriptor_, note.data(), note.size(), 0);
    crash_state.in_task = 1;
}

void FlightRecord::end() {
    crash_state.in_task = 0;
    [[maybe_unused]] const int emptied = ::ftruncate(descriptor_, 0);
}

void FlightRecord::catch_crashes() {
    keep_path(std::filesystem::path(path_).replace_extension(kCrash), crash_state.path);
    for (auto& known : crash_state.signals) {
        struct sigaction action = {};
        action.sa_handler = note_crash;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_NODEFER;
        ::sigaction(known.number, &action, &known.before);
    }
}

void FlightRecord::remove() {
    end();
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

void note_planned_stop(bool of_all_ranks) {
    const char* path = of_all_ranks ? crash_state.all_stopping : crash_state.stopping;
    if (path[0] == '\0') return;
    const int descriptor = ::open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (descriptor >= 0) ::close(descriptor);
}

std::vector<Flight> read_flights(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
        if (entry.path().extension() == kFlight) files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    const bool all_stopping = std::filesystem::exists(folder / kAllStopping, missing);
    std::vector<Flight> flights;
    for (auto file : files) {
        try {
            const std::string note = read_text(file);
            constexpr std::size_t kHex = 32, kWord = 7;  // " alone " or " among "
            if (note.size() <= kHex + kWord || note.back() != '\n') continue;
            Flight flight;
            flight.task = Id::parse(note.substr(0, kHex));
            flight.alone = note.substr(kHex, kWord) == " alone ";
            flight.label = note.substr(kHex + kWord, note.size() - kHex - kWord - 1);
            if (const auto crash = file.replace_extension(kCrash); std::filesystem::exists(crash)) flight.crash = read_text(crash);
            const bool planned = all_stopping || std::filesystem::exists(file.replace_extension(kStopping));
            if (planned && flight.crash.empty()) continue;
            flights.push_back(std::move(flight));
        } catch (const InputError&) {
            continue;  // torn: the process died between two tasks
        }
    }
    return flights;
}

void remove_flights(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> files;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
        const auto extension = entry.path().extension();
        if (extension == kFlight || extension == kCrash || extension == kStopping) files.push_back(entry.path());
    }
    for (const auto& file : files) std::filesystem::remove(file, missing);
}

}  // namespace cmsweep
