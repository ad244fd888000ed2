#include "lock.hpp"

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/store/store.hpp"

namespace cmsweep {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kRetry = std::chrono::milliseconds(100);

Clock::time_point after(double seconds) {
    return Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

LockFile::Result lock_result(int code) {
    if (code == 0) return LockFile::Result::taken;
    if (errno == EAGAIN || errno == EACCES || errno == EWOULDBLOCK || errno == EINTR) return LockFile::Result::held;
    return LockFile::Result::unsupported;
}

/// Who an owner file names; empty if it is gone.
std::string owner_in(const std::filesystem::path& path) {
    try {
        return read_text(path);
    } catch (const InputError&) {
        return {};
    }
}

/// Locks of the file system are not used: for those that have none, or that lie about them.
bool owner_file_wanted() {
    const char* wanted = std::getenv("CMSWEEP_LOCKS");
    return wanted && std::string_view(wanted) == "owner-file";
}

[[noreturn]] void refuse(const std::filesystem::path& path, std::string owner) {
    if (owner.empty()) owner = "an unnamed process";
    throw InputError(path.string() + ": another run works on this store: " + owner +
                     "; wait for it to end, stop it, or choose another [sweep] output");
}

}  // namespace

LockFile::LockFile(const std::filesystem::path& path, bool create) : path_(path) {
    descriptor_ = ::open(path.c_str(), (create ? O_RDWR | O_CREAT : O_RDWR) | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw InputError(path.string() + ": cannot be opened for locking: " + std::strerror(errno));
}

LockFile::~LockFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

LockFile::Result LockFile::lock_byte(long byte) {
    if (owner_file_wanted()) return Result::unsupported;
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    return lock_result(::fcntl(descriptor_, F_OFD_SETLK, &range));
}

void LockFile::unlock_byte(long byte) {
    struct flock range {};
    range.l_type = F_UNLCK;
    range.l_whence = SEEK_SET;
    range.l_start = byte;
    range.l_len = 1;
    ::fcntl(descriptor_, F_OFD_SETLK, &range);
}

bool LockFile::others_hold_any() const {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;  // from 0, length 0: the whole file and beyond
    return ::fcntl(descriptor_, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

LockFile::Result LockFile::share() {
    if (owner_file_wanted()) return Result::unsupported;
    return lock_result(::flock(descriptor_, LOCK_SH | LOCK_NB));
}

std::string LockFile::text() const {
    std::string text(512, '\0');
    const auto got = ::pread(descriptor_, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

void LockFile::write_text(const std::string& text) {
    if (::ftruncate(descriptor_, 0) != 0 || ::pwrite(descriptor_, text.data(), text.size(), 0) < 0) {
        throw StorageError(path_.string() + ": cannot be written: " + std::strerror(errno));
    }
}

std::filesystem::path lock_path(const std::filesystem::path& store) {
    auto path = store;
    return path.replace_extension(".lock");
}

std::string utc_now() {
    const auto now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

std::string describe_owner() {
    char host[256] = "an unnamed host";
    ::gethostname(host, sizeof host - 1);
    auto text = "process " + std::to_string(::getpid()) + " on " + host + " since " + utc_now();
    if (const char* job = std::getenv("SLURM_JOB_ID")) text += std::string(", Slurm job ") + job;
    return text;
}

void check_writable(const std::filesystem::path& folder) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    const auto probe = folder / (".cmsweep-" + std::to_string(::getpid()));
    const int descriptor = failure ? -1 : ::open(probe.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        throw InputError(folder.string() + ": the output folder cannot be written (" +
                         (failure ? failure.message() : std::strerror(errno)) + "); expected a writable folder: change [sweep] output");
    }
    ::close(descriptor);
    ::unlink(probe.c_str());
}

HeartbeatLock::HeartbeatLock(const std::filesystem::path& path, const std::string& owner, double patience, double beat, double stale)
    : path_(path), owner_(owner) {
    const auto deadline = after(patience);
    for (;;) {
        const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (descriptor >= 0) {
            write_fully(descriptor, std::as_bytes(std::span(owner)), path);
            ::close(descriptor);
            break;
        }
        if (errno != EEXIST) throw InputError(path.string() + ": cannot be made: " + std::strerror(errno));
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0) continue;  // gone: its owner ended just now
        const double age = std::difftime(std::time(nullptr), status.st_mtim.tv_sec);
        if (age > stale) {
            // Moved aside first, since of two runs that find the same stale file only one can move it.
            const auto aside = path.string() + ".stale-" + std::to_string(::getpid());
            if (::rename(path.c_str(), aside.c_str()) != 0) continue;
            struct stat moved {};
            if (::stat(aside.c_str(), &moved) != 0 || moved.st_ino != status.st_ino || moved.st_mtim.tv_sec != status.st_mtim.tv_sec) {
                // Another run was faster, and this is its new file: back with it.
                [[maybe_unused]] const int back = ::link(aside.c_str(), path.c_str());
            } else {
                warnings_.push_back(path.string() + ": taken over from " + read_text(aside) + ", silent for " + format_duration(age));
            }
            ::unlink(aside.c_str());
            continue;
        }
        if (Clock::now() >= deadline) refuse(path, owner_in(path));
        std::this_thread::sleep_for(kRetry);
    }
    beating_ = std::jthread([path, beat](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any wake;
        std::unique_lock lock(mutex);
        while (!stop.stop_requested()) {
            ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
            wake.wait_for(lock, stop, std::chrono::duration<double>(beat), [] { return false; });
        }
    });
}

HeartbeatLock::~HeartbeatLock() {
    beating_ = {};
    if (owner_in(path_) == owner_) ::unlink(path_.c_str());  // else it was taken over from a run that had been stopped for long
}

struct StoreLock::State {
    std::unique_ptr<LockFile> file;
    std::unique_ptr<HeartbeatLock> heartbeat;
    std::vector<std::string> warnings;
};

StoreLock::StoreLock(const std::filesystem::path& output, double patience) : state_(std::make_unique<State>()) {
    const auto folder = output.has_parent_path() ? output.parent_path() : std::filesystem::path(".");
    check_writable(folder);
    const std::filesystem::path path = output.string() + ".lock";
    auto file = std::make_unique<LockFile>(path, true);
    const auto deadline = after(patience);
    for (;;) {
        const auto own = file->lock_byte(lock_byte_of(0));
        if (own == LockFile::Result::unsupported) {
            const std::filesystem::path owner = output.string() + ".owner";
            state_->heartbeat = std::make_unique<HeartbeatLock>(owner, describe_owner(), patience);
            state_->warnings = state_->heartbeat->warnings();
            state_->warnings.push_back(folder.string() + (owner_file_wanted() ? ": its locks are not used, by CMSWEEP_LOCKS" : ": this file system has no locks") +
                                       "; " + owner.string() + " keeps other runs away while it is touched every 10 s");
            return;
        }
        // Ranks of a run whose rank 0 was killed hold their own bytes until they have noticed.
        if (own == LockFile::Result::taken && !file->others_hold_any()) break;
        if (own == LockFile::Result::taken) file->unlock_byte(lock_byte_of(0));
        if (Clock::now() >= deadline) refuse(path, file->text());
        std::this_thread::sleep_for(kRetry);
    }
    file->write_text(describe_owner() + '\n');
    state_->file = std::move(file);
}

StoreLock::~StoreLock() = default;

const std::vector<std::string>& StoreLock::warnings() const { return state_->warnings; }

}  // namespace cmsweep
