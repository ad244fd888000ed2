#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "layout.hpp"

// How results get into rows: the one protocol of the running sweep, of the recovery of journals, and of one rank alike.
namespace cmsweep {

/// A record on its way into a row.
struct PendingRow {
    std::size_t row = 0;
    const Record* record = nullptr;
    int rank = 0;  ///< that computed it
};

/// Whom a commit works with: all ranks over MPI, or nobody.
struct CommitPeers {
    hid_t transfer = H5P_DEFAULT;
    bool collective = false;                                        ///< every transfer must be collective
    std::function<void()> flush;                                    ///< [collective] what was written is on disk, on all ranks
    std::function<std::vector<char>(std::vector<char>)> any;        ///< [collective] element-wise logical or
    std::size_t independent_transfers = 0;                          ///< counted: collective ones that HDF5 turned independent
};

/// Throws std::invalid_argument if the record does not fit the table: unknown or no result column, wrong dimensions, extents too large,
/// a value that the column cannot hold.
void check_record(const TableSpec& spec, const Record& record);

/// Is this very record committed in the row already, as when a run was killed between a commit and the end of its journal? Another
/// attempt with the same outcome is another record: it took other seconds.
bool already_holds(const StoredTable& table, const PendingRow& pending, int descriptor, const std::filesystem::path& path);

/// [collective over the peers] Clears the commit words of rows that had one, writes the rows, flushes, reads them back and
/// compares (three attempts), then writes the commit words, flushes and reads these back. `rows[t]` belong to `tables[t]`, each
/// row at most once. `descriptor` reads the same file without HDF5. Throws StorageError, on all ranks alike where the data are wrong.
void commit_rows(const std::vector<StoredTable>& tables, std::vector<std::vector<PendingRow>> rows, int descriptor,
                 const std::filesystem::path& path, CommitPeers& peers);

/// Writes `columns` (bytes of the given rows, which increase) and reads them back. [collective over the peers]
struct ColumnWrite {
    const StoredTable* table = nullptr;
    std::size_t column = 0;
    std::vector<std::size_t> rows;
    std::vector<std::byte> bytes;
};
void write_checked(const std::vector<ColumnWrite>& columns, int descriptor, const std::filesystem::path& path,
                   CommitPeers& peers);

/// One row of one column, past HDF5.
std::vector<std::byte> read_row(const StoredTable& table, std::size_t column, std::size_t row, int descriptor,
                                const std::filesystem::path& path);

/// Peers of a process that has the file for itself.
CommitPeers serial_peers(hid_t file, int descriptor, const std::filesystem::path& path);

}  // namespace cmsweep
