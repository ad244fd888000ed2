#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cmsweep {

/// A file mapped read-only; shared between the ranks of a node through the page cache. Move-only.
class MappedFile {
public:
    /// Throws InputError naming the path if it cannot be opened or mapped. An empty file gives empty bytes().
    explicit MappedFile(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(MappedFile&& other) noexcept;
    MappedFile& operator=(MappedFile&& other) noexcept;
    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::span<const std::byte> bytes_;
};

/// The whole file as text. Throws InputError naming the path.
std::string read_text(const std::filesystem::path& path);

/// A new file, written under a temporary name in its folder until it is whole: readers see the old file or the new one.
/// Without commit() it is removed. Creates missing folders. Its functions throw StorageError with path and cause.
class AtomicFile {
public:
    explicit AtomicFile(std::filesystem::path path);
    ~AtomicFile();
    AtomicFile(const AtomicFile&) = delete;
    AtomicFile& operator=(const AtomicFile&) = delete;

    const std::filesystem::path& path() const { return path_; }
    int descriptor() const { return descriptor_; }
    void write_at(std::uint64_t offset, std::span<const std::byte> bytes);
    /// fsync, rename, fsync of the folder. The last call.
    void commit();
    /// Instead of commit(): maps what was written, as a file without a name that goes with its mapping. Throws as MappedFile too.
    MappedFile unnamed();

private:
    void close();

    std::filesystem::path path_, temporary_;  ///< temporary_: empty once it is no name any more
    int descriptor_ = -1;
};

/// An AtomicFile from what `write` writes, or with `text`.
void write_atomically(const std::filesystem::path& path, std::string_view text);
void write_atomically(const std::filesystem::path& path, const std::function<void(int file_descriptor)>& write);

/// write(2) until all is written. Throws StorageError (disk full, quota, I/O error) naming `path`.
void write_fully(int file_descriptor, std::span<const std::byte> bytes, const std::filesystem::path& path);

/// Files that match a pattern with *, ?, [...] and ** (any number of folders), sorted; no match is an empty list.
/// Symbolic links to folders are not followed by **. As in the shell, wildcards match neither a leading dot nor, for **,
/// hidden folders. `?` and classes match whole UTF-8 characters. A folder that cannot be listed is an InputError, since
/// files would be lost without a word.
std::vector<std::filesystem::path> glob(const std::string& pattern);
/// Does `path` match `pattern`, in the syntax of glob(), as a whole?
bool glob_matches(std::string_view pattern, std::string_view path);

/// `~`, `~/x` and `${VAR}` expanded; relative paths are joined to `folder`. Throws InputError for an unset variable.
std::filesystem::path expand_path(const std::string& text, const std::filesystem::path& folder);

/// "90", "90s", "15m", "1.5h", "2d" and Slurm's "MM:SS", "HH:MM:SS", "D-HH", "D-HH:MM", "D-HH:MM:SS" -> seconds.
/// Throws InputError.
double parse_duration(std::string_view text);
/// Seconds as people read them: "4.2 s", "3 min 10 s", "2 h 05 min".
std::string format_duration(double seconds);
/// Bytes with a binary unit: "3.1 MiB".
std::string format_bytes(double bytes);

}  // namespace cmsweep
