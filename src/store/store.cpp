#include "cmsweep/store/store.hpp"

#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <thread>
#include <unordered_map>

#include <fcntl.h>
#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "commit.hpp"
#include "journal.hpp"
#include "layout.hpp"
#include "lock.hpp"

namespace cmsweep {
namespace {

constexpr double kPatience = 10;  // seconds for ranks of a killed run to notice
constexpr std::size_t kNoSlot = std::numeric_limits<std::size_t>::max();

double unix_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Rank 0: what all ranks must know of the rows before they open the file together.
struct Rows {
    std::vector<std::vector<Id>> ids;  ///< by table, in the order of open_tables
    std::size_t run_slot = kNoSlot;
};

Rows read_rows(const std::filesystem::path& path) {
    Rows rows;
    const auto file = open_store(path, false);
    for (const auto& table : open_tables(file.get())) {
        rows.ids.emplace_back();
        for (const auto& text : decode_texts(*table.spec().find("id"), table.read("id"))) {
            rows.ids.back().push_back(Id::parse(text));  // prepare_store has replaced a file with damaged ids
        }
    }
    const StoredTable runs(file.get(), "runs");
    const auto started = decode_numbers(*runs.spec().find("started"), runs.read("started"));
    for (std::size_t r = started.size(); r-- > 0;) {
        if (std::isnan(started[r])) rows.run_slot = r;
    }
    return rows;
}

std::vector<std::byte> pack(const Rows& rows) {
    std::vector<std::byte> bytes;
    const auto put = [&](std::uint64_t value) {
        const auto* begin = reinterpret_cast<const std::byte*>(&value);
        bytes.insert(bytes.end(), begin, begin + sizeof value);
    };
    put(rows.run_slot);
    put(rows.ids.size());
    for (const auto& table : rows.ids) {
        put(table.size());
        for (const auto& id : table) {
            put(id.high);
            put(id.low);
        }
    }
    return bytes;
}

Rows unpack(std::span<const std::byte> bytes) {
    const auto get = [&] {
        std::uint64_t value = 0;
        std::memcpy(&value, bytes.data(), sizeof value);
        bytes = bytes.subspan(sizeof value);
        return value;
    };
    Rows rows;
    rows.run_slot = get();
    rows.ids.resize(get());
    for (auto& table : rows.ids) {
        table.resize(get());
        for (auto& id : table) {
            id.high = get();
            id.low = get();
        }
    }
    return rows;
}

}  // namespace

struct Store::State {
    State(const Communicator& world, const std::filesystem::path& file_path, const std::filesystem::path& side_folder)
        : ranks(world.duplicate()), path(file_path), journal(side_folder / "journal", world.rank()) {}

    Communicator ranks;
    std::filesystem::path path;
    Journal journal;
    std::vector<LockFile> locks;
    Hdf5Handle file, transfer;
    std::vector<StoredTable> tables;
    std::optional<StoredTable> runs;
    std::vector<std::unordered_multimap<Id, std::size_t>> rows;
    std::map<ResultKey, Record> pending;
    std::size_t run_slot = kNoSlot;
    int descriptor = -1;
    CommitPeers peers;

    ~State() {
        if (descriptor >= 0) ::close(descriptor);
        // Closing a parallel file is collective; whoever did not reach close() is on its way out.
        for (auto& table : tables) table.release();
        if (runs) runs->release();
        file.release();
    }

    void take_locks() {
        if (ranks.rank() == 0) {
            locks.emplace_back(path, false);
            if (locks.back().share() == LockFile::Result::held) {
                throw InputError(path.string() + ": another program has it open for writing; close it there");
            }
            return;
        }
        // The owner's file is there unless the caller holds no StoreLock, or the file system has no locks.
        if (!std::filesystem::exists(lock_path(path))) return;
        locks.emplace_back(lock_path(path), false);
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::duration<double>(kPatience);
        while (locks.back().lock_byte(lock_byte_of(ranks.rank())) == LockFile::Result::held) {
            if (std::chrono::steady_clock::now() > deadline) {
                throw InputError(lock_path(path).string() + ": rank " + std::to_string(ranks.rank()) +
                                 " of another run still works on this store: " + locks.back().text());
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }

    std::vector<char> any(std::vector<char> flags) const {
        std::vector<char> result(flags.size());
        check_mpi(MPI_Allreduce(flags.data(), result.data(), static_cast<int>(flags.size()), MPI_SIGNED_CHAR, MPI_MAX,
                                ranks.handle()),
                  "MPI_Allreduce");
        return result;
    }

    /// [collective] Rank 0 writes columns of this start's /runs row.
    void write_run(const std::map<std::string, std::vector<std::byte>>& values) {
        std::vector<ColumnWrite> writes;
        for (const auto& [name, bytes] : values) {
            ColumnWrite write{&*runs, runs->column(name), {}, {}};
            if (ranks.rank() == 0) {
                write.rows = {run_slot};
                write.bytes = bytes;
            }
            writes.push_back(std::move(write));
        }
        write_checked(writes, descriptor, path, peers);
    }

    std::vector<std::byte> run_number(const char* column, double value) const {
        return encode_numbers(*runs->spec().find(column), std::span(&value, 1));
    }
    std::vector<std::byte> run_text(const char* column, const std::string& text) const {
        return encode_texts(*runs->spec().find(column), std::span(&text, 1));
    }
};

Store::Store(const Communicator& world, const std::filesystem::path& path, const std::filesystem::path& side_folder)
    : state_(std::make_unique<State>(world, path, side_folder)) {
    auto& state = *state_;
    state.take_locks();
    Rows rows;
    if (state.ranks.rank() == 0) rows = read_rows(path);
    rows = unpack(state.ranks.broadcast(pack(rows), 0));
    state.run_slot = rows.run_slot;

    state.file = open_parallel(path, state.ranks.handle());
    state.transfer = make_transfer(true);
    state.tables = open_tables(state.file.get());
    state.runs.emplace(state.file.get(), "runs");
    for (const auto& ids : rows.ids) {
        auto& index = state.rows.emplace_back();
        for (std::size_t r = 0; r < ids.size(); ++r) index.emplace(ids[r], r);
    }
    state.descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (state.descriptor < 0) throw StorageError(path.string() + ": cannot be opened: " + std::strerror(errno));

    state.peers.transfer = state.transfer.get();
    state.peers.collective = true;
    state.peers.flush = [this] {
        check_hdf5(H5Fflush(state_->file.get(), H5F_SCOPE_GLOBAL), "writing " + state_->path.string() + " to disk");
        state_->ranks.barrier();
    };
    state.peers.any = [this](std::vector<char> flags) { return state_->any(std::move(flags)); };

    if (state.run_slot != kNoSlot) {
        state.write_run({{"started", state.run_number("started", unix_now())},
                         {"ranks", state.run_number("ranks", state.ranks.size())},
                         {"version", state.run_text("version", CMSWEEP_VERSION)},
                         {"outcome", state.run_text("outcome", kRunning)}});
    }
}

Store::~Store() = default;

void Store::add(const Record& record) {
    auto& state = *state_;
    for (std::size_t t = 0; t < state.tables.size(); ++t) {
        if (state.tables[t].spec().name != record.table) continue;
        if (state.rows[t].count(record.id) == 0) break;
        check_record(state.tables[t].spec(), record);
        state.journal.append(record);
        state.pending.insert_or_assign(ResultKey{record.table, record.id}, record);
        return;
    }
    throw std::invalid_argument(state.path.string() + ": table " + record.table + " has no row for the result " + record.id.hex());
}

bool Store::has_news() const { return !state_->pending.empty(); }

void Store::commit() {
    auto& state = *state_;
    std::vector<std::vector<PendingRow>> rows(state.tables.size());
    for (const auto& [key, record] : state.pending) {
        for (std::size_t t = 0; t < state.tables.size(); ++t) {
            if (state.tables[t].spec().name != key.table) continue;
            for (auto [row, end] = state.rows[t].equal_range(key.id); row != end; ++row) {
                rows[t].push_back({row->second, &record, state.ranks.rank()});
            }
        }
    }
    commit_rows(state.tables, std::move(rows), state.descriptor, state.path, state.peers);
    if (!state.pending.empty()) state.journal.clear();
    state.pending.clear();
}

bool Store::wrote_collectively() const { return state_->peers.independent_transfers == 0; }

void Store::close(const nlohmann::json& run) {
    commit();
    auto& state = *state_;
    if (state.run_slot != kNoSlot) {
        std::map<std::string, std::vector<std::byte>> values;
        for (const char* column : {"started", "ended", "ranks"}) {
            if (run.contains(column)) values[column] = state.run_number(column, run.at(column).get<double>());
        }
        for (const char* column : {"hosts", "version", "outcome"}) {
            if (!run.contains(column)) continue;
            const auto& value = run.at(column);
            std::string text;
            if (value.is_array()) {
                for (const auto& entry : value) {
                    if (!text.empty()) text += ' ';
                    text += entry.get<std::string>();
                }
            } else {
                text = value.get<std::string>();
            }
            values[column] = state.run_text(column, text);
        }
        // All ranks must agree on the columns, and need not have been given the same.
        const auto names = state.ranks.broadcast([&] {
            std::string list;
            for (const auto& [name, bytes] : values) list += name + '\n';
            return list;
        }(), 0);
        std::map<std::string, std::vector<std::byte>> agreed;
        for (std::size_t begin = 0; begin < names.size();) {
            const auto end = names.find('\n', begin);
            const auto name = names.substr(begin, end - begin);
            agreed[name] = values[name];
            begin = end + 1;
        }
        if (!agreed.empty()) state.write_run(agreed);
    }
    for (auto& table : state.tables) table.close();
    state.tables.clear();
    state.runs->close();
    state.runs.reset();
    state.file.close();
    state.journal.remove();
}

}  // namespace cmsweep
