#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "cmsweep/mpi/communicator.hpp"
#include "cmsweep/plan/plan.hpp"
#include "cmsweep/sched/message.hpp"

namespace cmsweep {

/// What goes into / and /config and /environment.
struct StoreIdentity {
    std::string name;         ///< [sweep] name
    std::string config_text;
    nlohmann::json environment;  ///< string -> string
};

/// Exclusive right to a sweep: locks on <output>.lock and, shared, on the store; see STORE.md "Life of a store" 1.
/// Rank 0 takes it before anything is read or written; throws InputError naming the owner if it is held (after waiting
/// up to `patience` seconds for orphans of a killed run). Where the file system has no locks, or CMSWEEP_LOCKS=owner-file is in the
/// environment, <output>.owner with a heartbeat takes their place.
class StoreLock {
public:
    StoreLock(const std::filesystem::path& output, double patience);
    ~StoreLock();
    StoreLock(const StoreLock&) = delete;
    StoreLock& operator=(const StoreLock&) = delete;
    /// A stale owner that was taken over, for the log.
    const std::vector<std::string>& warnings() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// [independent, rank 0 only] Makes `path` fit `plan`: creates it, leaves it (same plan), or copies every committed row into
/// a new file for the union of rows and renames it over the old (see STORE.md). Journals in `side_folder`/journal are replayed first.
/// Throws InputError (no cmsweep store, another schema, another name, a folder that cannot be written), StorageError (disk full).
/// The caller holds the StoreLock. Rows whose checksum is wrong are not copied: they are computed again, with a warning.
struct PreparedStore {
    bool created = false;                ///< there was no store
    bool rewritten = false;              ///< a new file was made for the union of rows
    std::size_t recovered = 0;           ///< results that journals gave back
    std::vector<std::string> warnings;   ///< torn journals, damaged rows
};
PreparedStore prepare_store(const std::filesystem::path& path, const std::filesystem::path& side_folder, const Plan& plan,
                   const StoreIdentity& identity);

/// The results that `path` already holds, without changing anything: for `plan` and for deciding what is left to do. A
/// missing file holds nothing. Counts results in journals too (they only wait for the next commit).
struct StoredState {
    struct Entry {  ///< of a committed or journaled result
        RowStatus status = RowStatus::pending;
        bool retryable = false;
        int attempt = 0;
    };
    std::map<ResultKey, Entry> results;
    Id plan_digest;
    std::string name;
};
StoredState read_stored_state(const std::filesystem::path& path, const std::filesystem::path& side_folder);

/// The open parallel file of a running sweep.
class Store : public ResultSink {
public:
    /// [collective] `path` has been prepared by rank 0. Ranks take their bytes of <output>.lock, and a /runs row is begun.
    /// Throws InputError if another program has the file open for writing.
    Store(const Communicator& world, const std::filesystem::path& path, const std::filesystem::path& side_folder);
    ~Store() override;

    /// [independent] Journals the record (it is durable against a kill of this process when this returns) and queues it for
    /// all rows with its id. Throws std::invalid_argument (no such row, values that do not fit the table), StorageError.
    void add(const Record& record);

    bool has_news() const override;
    /// [collective] Payload, flush, barrier, read back, commit words, flush, barrier; empties the journal.
    /// Throws StorageError, on all ranks alike where what was read back is wrong.
    void commit() override;
    /// Were all transfers so far really collective? (HDF5 silently makes them independent in some cases; for tests.)
    bool wrote_collectively() const;

    /// [collective] Last commit, the /runs row, close. `run` describes this start: started, ended (UNIX seconds), ranks, hosts, version, outcome.
    void close(const nlohmann::json& run);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Read-only access to a store, also while a sweep runs. Everything that reports, verifies or exports goes through it.
class StoreReader {
public:
    explicit StoreReader(const std::filesystem::path& path);  ///< throws InputError
    ~StoreReader();
    StoreReader(StoreReader&&) noexcept;

    std::string name() const;
    int schema() const;
    std::string config_text() const;
    /// An entry of /environment; empty if there is none of this name.
    std::string environment(const std::string& key) const;
    std::vector<std::string> tables() const;
    std::size_t rows(const std::string& table) const;
    std::vector<std::string> columns(const std::string& table) const;
    /// A numeric column, rows x extents flattened row-major, as doubles.
    struct Numbers {
        std::vector<std::int64_t> extents;  ///< rows first
        std::vector<double> values;
    };
    Numbers numbers(const std::string& table, const std::string& column) const;
    std::vector<std::string> texts(const std::string& table, const std::string& column) const;
    Axes axes() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Every problem of a store: schema, checksums of committed rows, duplicates, columns missing. Empty: sound.
std::vector<std::string> verify_store(const std::filesystem::path& path);

}  // namespace cmsweep
