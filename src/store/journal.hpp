#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "cmsweep/plan/tables.hpp"

// A rank's journal: results that wait for the next commit, appended one by one so that a kill loses none.
namespace cmsweep {

/// A record as journaled: with the rank that computed it.
struct JournalEntry {
    int rank = 0;
    Record record;
};

/// Appends to <folder>/rank-<rank>.journal. Throws StorageError.
class Journal {
public:
    Journal(const std::filesystem::path& folder, int rank);
    ~Journal();
    Journal(const Journal&) = delete;
    Journal& operator=(const Journal&) = delete;

    /// Survives a kill of this process when it returns, and a power loss within a second.
    void append(const Record& record);
    /// Forgets everything: the records are committed.
    void clear();
    /// Removes the file.
    void remove();

private:
    std::filesystem::path path_;
    int rank_;
    int descriptor_ = -1;
    double synced_ = 0;
};

struct JournalContents {
    std::vector<JournalEntry> entries;        ///< in file order, files sorted by name
    std::vector<std::filesystem::path> files; ///< that could be read
    std::vector<std::string> warnings;        ///< torn or damaged tails: file, byte, what follows
};
/// Every journal of the folder, each up to its first bad record. A missing folder holds nothing.
JournalContents read_journals(const std::filesystem::path& folder);

/// The parser alone, for fuzzing. `name` goes into the warning.
std::vector<JournalEntry> parse_journal(std::span<const std::byte> bytes, const std::string& name, std::string& warning);

}  // namespace cmsweep
