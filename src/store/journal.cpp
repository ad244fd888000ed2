#include "journal.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/base/id.hpp"

namespace cmsweep {
namespace {

/// Before each record: magic, bytes of the record, rank, CRC-32 of size, rank and record.
struct Header {
    std::uint32_t magic = 0;
    std::uint32_t size = 0;
    std::int32_t rank = 0;
    std::uint32_t checksum = 0;
};
static_assert(sizeof(Header) == 16);
constexpr std::uint32_t kMagic = 0x314A'4D43;  // "CMJ1"
constexpr double kSyncSeconds = 1;

std::uint32_t checksum(const Header& header, std::span<const std::byte> record) {
    std::array<std::byte, 8> fields;
    std::memcpy(fields.data(), &header.size, 4);
    std::memcpy(fields.data() + 4, &header.rank, 4);
    return crc32(record, crc32(fields));
}

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

Journal::Journal(const std::filesystem::path& folder, int rank) : rank_(rank) {
    std::error_code failure;
    std::filesystem::create_directories(folder, failure);
    char name[40];
    std::snprintf(name, sizeof name, "rank-%06d.journal", rank);
    path_ = folder / name;
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor_ < 0) throw StorageError(path_.string() + ": journal cannot be opened: " + std::strerror(errno));
}

Journal::~Journal() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

void Journal::append(const Record& record) {
    const auto bytes = serialise(record);
    Header header{kMagic, static_cast<std::uint32_t>(bytes.size()), rank_, 0};
    header.checksum = checksum(header, bytes);
    // One write: the record is in the kernel, and so safe from a kill, as a whole or with a tail that its checksum gives away.
    std::vector<std::byte> whole(sizeof header + bytes.size());
    std::memcpy(whole.data(), &header, sizeof header);
    std::memcpy(whole.data() + sizeof header, bytes.data(), bytes.size());
    write_fully(descriptor_, whole, path_);
    fault_point("journal.append");
    if (now() - synced_ >= kSyncSeconds) {
        if (::fdatasync(descriptor_) != 0) {
            throw StorageError(path_.string() + ": journal cannot be written to disk: " + std::strerror(errno));
        }
        synced_ = now();
    }
}

void Journal::clear() {
    if (::ftruncate(descriptor_, 0) != 0) {
        throw StorageError(path_.string() + ": journal cannot be emptied: " + std::strerror(errno));
    }
}

void Journal::remove() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
}

std::vector<JournalEntry> parse_journal(std::span<const std::byte> bytes, const std::string& name, std::string& warning) {
    std::vector<JournalEntry> entries;
    std::size_t offset = 0;
    const auto stop = [&](const std::string& what) {
        warning = name + ", byte " + std::to_string(offset) + ": " + what + "; " + std::to_string(entries.size()) +
                  " records before it are kept, " + std::to_string(bytes.size() - offset) + " bytes are dropped";
        return entries;
    };
    while (offset < bytes.size()) {
        Header header;
        const auto rest = bytes.subspan(offset);
        if (rest.size() < sizeof header) return stop("torn record");
        std::memcpy(&header, rest.data(), sizeof header);
        if (header.magic != kMagic) return stop("no record starts here");
        if (header.size > rest.size() - sizeof header) return stop("torn record");
        const auto record = rest.subspan(sizeof header, header.size);
        if (header.checksum != checksum(header, record)) return stop("checksum of the record is wrong");
        try {
            entries.push_back({header.rank, parse_record(record)});
        } catch (const InputError& error) {
            return stop(error.what());
        }
        offset += sizeof header + header.size;
    }
    return entries;
}

JournalContents read_journals(const std::filesystem::path& folder) {
    JournalContents contents;
    std::error_code missing;
    for (const auto& entry : std::filesystem::directory_iterator(folder, missing)) {
        if (entry.path().extension() == ".journal") contents.files.push_back(entry.path());
    }
    auto found = std::move(contents.files);
    contents.files.clear();
    std::sort(found.begin(), found.end());
    for (const auto& file : found) {
        // Read, not mapped: a running sweep truncates its journals, and a mapping would then fault.
        std::string text, warning;
        try {
            text = read_text(file);
        } catch (const InputError& error) {
            contents.warnings.push_back(error.what());
            continue;
        }
        contents.files.push_back(file);
        auto entries = parse_journal(std::as_bytes(std::span(text)), file.string(), warning);
        std::move(entries.begin(), entries.end(), std::back_inserter(contents.entries));
        if (!warning.empty()) contents.warnings.push_back(warning);
    }
    return contents;
}

}  // namespace cmsweep
