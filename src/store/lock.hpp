#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

// Who may work on a store. STORE.md "What was measured" (locks) and "Life of a store" 1.
namespace cmsweep {

/// An open file description; its OFD and flock locks end with it.
class LockFile {
public:
    enum class Result { taken, held, unsupported };  ///< unsupported: by the file system, or not wanted (CMSWEEP_LOCKS=owner-file)
    /// Throws InputError if the file cannot be opened (`create`: or made).
    LockFile(const std::filesystem::path& path, bool create);
    ~LockFile();
    LockFile(LockFile&& other) noexcept : path_(std::move(other.path_)), descriptor_(other.descriptor_) {
        other.descriptor_ = -1;
    }

    Result lock_byte(long byte);               ///< exclusive OFD lock on one byte
    void unlock_byte(long byte);
    bool others_hold_any() const;              ///< any byte locked by another description
    Result share();                            ///< flock(LOCK_SH)
    std::string text() const;
    void write_text(const std::string& text);  ///< replaces the contents

private:
    std::filesystem::path path_;
    int descriptor_ = -1;
};

/// The byte of a rank in <output>.lock.
inline long lock_byte_of(int rank) { return rank + 1; }
std::filesystem::path lock_path(const std::filesystem::path& store);  ///< x.h5 -> x.lock

/// Where a file system has no locks: a file that only its owner creates, touched every `beat` seconds, and taken over with
/// a warning once it was not touched for `stale` seconds.
class HeartbeatLock {
public:
    /// Throws InputError naming the owner if the file stays alive for `patience` seconds.
    HeartbeatLock(const std::filesystem::path& path, const std::string& owner, double patience, double beat = 10,
                  double stale = 60);
    ~HeartbeatLock();
    const std::vector<std::string>& warnings() const { return warnings_; }

private:
    std::filesystem::path path_;
    std::string owner_;
    std::vector<std::string> warnings_;
    std::jthread beating_;
};

/// "process 12 on node7 since 2025-01-31T12:00:00Z, Slurm job 99".
std::string describe_owner();
std::string utc_now();  ///< ISO 8601, seconds

/// Creates the folder and a file in it, and removes the latter: throws InputError naming the folder if that fails.
void check_writable(const std::filesystem::path& folder);

}  // namespace cmsweep
