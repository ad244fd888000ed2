#include "cmsweep/base/files.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <random>
#include <system_error>
#include <utility>

#include "cmsweep/base/fault_point.hpp"

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

namespace fs = std::filesystem;

/// strerror without its shared buffer.
std::string cause(int error) { return std::generic_category().message(error); }

[[noreturn]] void throw_storage(const std::string& action, const fs::path& path, int error) {
    std::string mend;
    if (error == ENOSPC) mend = "; free space on that file system, then resume";
    if (error == EDQUOT) mend = "; free some of your quota, then resume";
    if (error == EIO) mend = "; the device or file server reports a failure: check it, then resume";
    if (error == EACCES || error == EPERM || error == EROFS) mend = "; choose a folder that you may write to";
    throw StorageError("cannot " + action + " " + path.string() + ": " + cause(error) + mend);
}

/// A failing disk stops the sweep; any other reason is the path the user gave.
[[noreturn]] void throw_unreadable(const std::string& action, const fs::path& path, int error) {
    if (error == EIO) throw_storage(action, path, error);
    throw InputError("cannot " + action + " " + path.string() + ": " + cause(error));
}

/// Closes on scope exit.
class Descriptor {
public:
    explicit Descriptor(int value) : value_(value) {}
    ~Descriptor() {
        if (value_ >= 0) ::close(value_);
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return value_; }

private:
    int value_;
};

void sync_folder(const fs::path& folder) {
    const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (descriptor.get() < 0) throw_storage("open folder", folder, errno);
    // Some network file systems cannot sync a folder and say EINVAL; their rename is durable or nothing is.
    if (::fsync(descriptor.get()) != 0 && errno != EINVAL && errno != ENOTSUP)
        throw_storage("sync folder", folder, errno);
}

fs::path folder_of(const fs::path& path) {
    const auto parent = path.parent_path();
    return parent.empty() ? fs::path(".") : parent;
}

/// create_directories, but durable: each new folder's entry is synced too.
void create_folders(const fs::path& folder) {
    std::error_code error;
    if (folder.empty() || fs::is_directory(folder, error)) return;
    const auto parent = folder_of(folder);
    if (parent != folder) create_folders(parent);
    if (::mkdir(folder.c_str(), 0777) == 0) {
        sync_folder(parent);
    } else if (const int number = errno; number != EEXIST || !fs::is_directory(folder, error)) {
        throw_storage("create folder", folder, number);
    }
}

/// A new file beside `path`, its name in `temporary`. Not mkostemp, which ignores the umask.
int open_temporary(const fs::path& path, fs::path& temporary) {
    std::random_device random;
    std::string start = ".";  // hidden, so that no glob picks up what a crash leaves behind
    start.append(path.filename().string(), 0, 200).append(".");
    for (int attempt = 0; attempt < 100; ++attempt) {
        std::array<char, 9> suffix;
        std::snprintf(suffix.data(), suffix.size(), "%08x", random());
        temporary = folder_of(path) / (start + suffix.data() + ".tmp");  // at most 214 bytes of a name's 255
        const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST) return descriptor;
    }
    return -1;
}

/// Calls `write_some`, which writes some of the rest that it is given, until all is written.
template <class Write>
void write_all(std::span<const std::byte> bytes, const fs::path& path, Write write_some) {
    while (!bytes.empty()) {
        const auto count = write_some(bytes);
        if (count > 0) {
            bytes = bytes.subspan(count);
        } else if (count == 0) {
            throw_storage("write", path, EIO);
        } else if (errno != EINTR) {
            throw_storage("write", path, errno);
        }
    }
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) {
    // O_NONBLOCK: a FIFO must be refused below, not waited for.
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (descriptor.get() < 0) throw_unreadable("open", path, errno);
    struct stat status {};
    if (::fstat(descriptor.get(), &status) != 0) throw_unreadable("inspect", path, errno);
    if (!S_ISREG(status.st_mode)) throw InputError("cannot read " + path.string() + ": expected a regular file");
    const auto size = static_cast<std::size_t>(status.st_size);
    if (size == 0) return;
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, descriptor.get(), 0);
    if (address == MAP_FAILED) throw_unreadable("map", path, errno);
    bytes_ = {static_cast<const std::byte*>(address), size};
}

MappedFile::~MappedFile() {
    if (!bytes_.empty()) ::munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
    MappedFile taken(std::move(other));
    std::swap(bytes_, taken.bytes_);
    return *this;
}

std::string read_text(const fs::path& path) {
    const Descriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0) throw_unreadable("open", path, errno);
    std::string text;
    struct stat status {};
    if (::fstat(descriptor.get(), &status) == 0 && S_ISREG(status.st_mode)) text.reserve(status.st_size + 1);
    std::vector<char> buffer(1 << 16);
    for (;;) {
        const auto count = ::read(descriptor.get(), buffer.data(), buffer.size());
        if (count == 0) return text;
        if (count > 0) {
            text.append(buffer.data(), count);
        } else if (errno != EINTR) {
            throw_unreadable("read", path, errno);
        }
    }
}

void write_fully(int file_descriptor, std::span<const std::byte> bytes, const fs::path& path) {
    write_all(bytes, path, [&](auto rest) { return ::write(file_descriptor, rest.data(), rest.size()); });
}

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
    create_folders(folder_of(path_));
    descriptor_ = open_temporary(path_, temporary_);
    if (descriptor_ < 0) throw_storage("create", temporary_, errno);
}

AtomicFile::~AtomicFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    const std::uint64_t end = offset + bytes.size();
    write_all(bytes, path_, [&](auto rest) { return ::pwrite(descriptor_, rest.data(), rest.size(), static_cast<off_t>(end - rest.size())); });
}

void AtomicFile::close() {
    // A delayed write may meet its error here.
    if (::close(std::exchange(descriptor_, -1)) != 0 && errno != EINTR) throw_storage("close", path_, errno);
}

void AtomicFile::commit() {
    if (::fsync(descriptor_) != 0) throw_storage("sync", path_, errno);
    close();
    fault_point("file.rename");
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) throw_storage("rename a new file to", path_, errno);
    temporary_.clear();
    sync_folder(folder_of(path_));
}

MappedFile AtomicFile::unnamed() {
    close();
    MappedFile mapped(temporary_);
    ::unlink(temporary_.c_str());
    temporary_.clear();
    return mapped;
}

void write_atomically(const fs::path& path, const std::function<void(int file_descriptor)>& write) {
    AtomicFile file(path);
    write(file.descriptor());
    file.commit();
}

void write_atomically(const fs::path& path, std::string_view text) {
    write_atomically(path, [&](int file_descriptor) {
        write_fully(file_descriptor, std::as_bytes(std::span(text.data(), text.size())), path);
    });
}

fs::path expand_path(const std::string& text, const fs::path& folder) {
    if (text.empty()) throw InputError("a path is empty: expected a file or folder name");
    const auto variable = [&](const std::string& name) {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr || *value == '\0') {
            throw InputError("path \"" + text + "\": the environment variable " + name +
                             " is not set; export it or write the path out");
        }
        return std::string(value);
    };
    std::string expanded;
    std::size_t position = 0;
    if (text[0] == '~' && (text.size() == 1 || text[1] == '/')) {
        expanded = variable("HOME");
        position = 1;
    }
    for (std::size_t dollar; (dollar = text.find("${", position)) != std::string::npos;) {
        const auto brace = text.find('}', dollar);
        if (brace == std::string::npos || brace == dollar + 2) {
            throw InputError("path \"" + text + "\": expected ${NAME} at character " + std::to_string(dollar + 1));
        }
        expanded.append(text, position, dollar - position);
        expanded += variable(text.substr(dollar + 2, brace - dollar - 2));
        position = brace + 1;
    }
    expanded.append(text, position);
    return folder / expanded;  // operator/ keeps an absolute right-hand side alone
}

}  // namespace cmsweep
