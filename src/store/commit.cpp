#include "commit.hpp"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"

namespace cmsweep {
namespace {

constexpr int kWriteAttempts = 3;
/// Up to here a union of hyperslabs is cheap; its cost grows with the square of the runs, that of elements does not.
constexpr std::size_t kMostHyperslabs = 8;

std::vector<std::int64_t> row_extents(const TableSpec& spec, const Column& column) {
    std::vector<std::int64_t> extents;
    for (const auto& dimension : column.dimensions) extents.push_back(spec.dimensions.at(dimension));
    return extents;
}

/// The record's values of a result column as a whole row: in the corner of the row's extents, padded with NaN.
std::vector<double> padded_values(const TableSpec& spec, const Column& column, const Record& record) {
    const auto extents = row_extents(spec, column);
    std::vector<double> row(static_cast<std::size_t>(spec.elements(column)), std::numeric_limits<double>::quiet_NaN());
    const auto found = record.values.find(column.name);
    if (found == record.values.end()) return row;
    const auto& values = found->second;
    for (std::size_t i = 0; i < values.numbers.size(); ++i) {
        std::size_t rest = i, target = 0, stride = 1;
        for (std::size_t d = extents.size(); d-- > 0;) {
            const auto extent = static_cast<std::size_t>(values.extents[d]);
            target += rest % extent * stride;
            rest /= extent;
            stride *= static_cast<std::size_t>(extents[d]);
        }
        row[target] = values.numbers[i];
    }
    return row;
}

std::vector<std::byte> encode_one(const Column& column, double value) { return encode_numbers(column, std::span(&value, 1)); }
std::vector<std::byte> encode_one(const Column& column, const std::string& text) {
    return encode_texts(column, std::span(&text, 1));
}

/// Bytes of a row's column, for every column that a record determines.
std::vector<std::byte> encode_column(const TableSpec& spec, const Column& column, const PendingRow& pending, int attempt) {
    const auto& record = *pending.record;
    if (column.role == Column::Role::result) return encode_numbers(column, padded_values(spec, column, record));
    if (column.name == "id") return encode_one(column, record.id.hex());
    if (column.name == "status") return encode_one(column, static_cast<double>(record.status));
    if (column.name == "retryable") return encode_one(column, record.retryable ? 1.0 : 0.0);
    if (column.name == "message") return encode_one(column, record.message);
    if (column.name == "attempt") return encode_one(column, static_cast<double>(attempt));
    if (column.name == "rank") return encode_one(column, static_cast<double>(pending.rank));
    if (column.name == "seconds") return encode_one(column, record.seconds);
    throw std::logic_error("no record determines column " + column.name);
}

void append(std::vector<std::byte>& bytes, std::uint64_t word) {
    const auto* begin = reinterpret_cast<const std::byte*>(&word);
    bytes.insert(bytes.end(), begin, begin + sizeof word);
}

bool is_payload(const Column& column) {
    if (column.role == Column::Role::result) return true;
    return column.role == Column::Role::bookkeeping && column.name != "commit" && column.name != "in_plan" && column.name != "label_check";
}

/// Consecutive rows as (first, count).
std::vector<std::pair<std::size_t, std::size_t>> runs_of(const std::vector<std::size_t>& rows) {
    std::vector<std::pair<std::size_t, std::size_t>> runs;
    for (const auto row : rows) {
        if (!runs.empty() && runs.back().first + runs.back().second == row) {
            ++runs.back().second;
        } else {
            runs.emplace_back(row, 1);
        }
    }
    return runs;
}

void select_rows(hid_t space, const std::vector<std::int64_t>& extents, const std::vector<std::size_t>& rows) {
    if (rows.empty()) {
        check_hdf5(H5Sselect_none(space), "selecting no rows");
        return;
    }
    const auto runs = runs_of(rows);
    if (runs.size() <= kMostHyperslabs) {
        check_hdf5(H5Sselect_none(space), "selecting no rows");
        for (const auto& [first, count] : runs) {
            std::vector<hsize_t> start{first}, counts{count};
            for (const auto extent : extents) {
                start.push_back(0);
                counts.push_back(static_cast<hsize_t>(extent));
            }
            const auto operation = first == runs.front().first ? H5S_SELECT_SET : H5S_SELECT_OR;
            check_hdf5(H5Sselect_hyperslab(space, operation, start.data(), nullptr, counts.data(), nullptr), "selecting rows");
        }
        return;
    }
    const auto elements = std::accumulate(extents.begin(), extents.end(), std::int64_t{1}, std::multiplies<>());
    const auto rank = extents.size() + 1;
    std::vector<hsize_t> points(rows.size() * static_cast<std::size_t>(elements) * rank);
    auto* point = points.data();
    for (const auto row : rows) {
        for (std::int64_t i = 0; i < elements; ++i, point += rank) {
            point[0] = row;
            auto rest = i;
            for (std::size_t d = extents.size(); d-- > 0;) {
                point[d + 1] = static_cast<hsize_t>(rest % extents[d]);
                rest /= extents[d];
            }
        }
    }
    check_hdf5(H5Sselect_elements(space, H5S_SELECT_SET, points.size() / rank, points.data()), "selecting rows");
}

void write_column(const ColumnWrite& write, CommitPeers& peers) {
    const auto& table = *write.table;
    const auto& column = table.spec().columns[write.column];
    const auto dataset = table.dataset(write.column);
    Hdf5Handle file_space(H5Dget_space(dataset), H5Sclose, "dataspace");
    select_rows(file_space.get(), row_extents(table.spec(), column), write.rows);
    hsize_t count = write.bytes.size() / value_size(column);
    if (count == 0) count = 1;  // a dataspace needs an extent; nothing of it is selected
    Hdf5Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose, "dataspace");
    if (write.bytes.empty()) check_hdf5(H5Sselect_none(memory.get()), "selecting nothing");
    const auto type = value_type(column);
    const std::byte nothing{};
    check_hdf5(H5Dwrite(dataset, type.get(), memory.get(), file_space.get(), peers.transfer,
                        write.bytes.empty() ? &nothing : write.bytes.data()),
               "writing " + table.spec().name + '/' + column.name);
    if (peers.collective) {
        H5D_mpio_actual_io_mode_t mode{};
        check_hdf5(H5Pget_mpio_actual_io_mode(peers.transfer, &mode), "H5Pget_mpio_actual_io_mode");
        if (mode != H5D_MPIO_CONTIGUOUS_COLLECTIVE) ++peers.independent_transfers;
    }
}

void read_at(int descriptor, std::uint64_t offset, std::span<std::byte> out, const std::filesystem::path& path) {
    while (!out.empty()) {
        const auto got = ::pread(descriptor, out.data(), out.size(), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            throw StorageError(path.string() + ": cannot be read back at byte " + std::to_string(offset) + ": " +
                               (got == 0 ? "the file ends there" : std::strerror(errno)));
        }
        out = out.subspan(static_cast<std::size_t>(got));
        offset += static_cast<std::uint64_t>(got);
    }
}

/// Does the file hold what was written?
bool reads_back(const ColumnWrite& write, int descriptor, const std::filesystem::path& path) {
    const auto size = write.table->row_size(write.column);
    std::size_t position = 0;
    std::vector<std::byte> stored;
    for (const auto& [first, count] : runs_of(write.rows)) {
        stored.resize(count * size);
        read_at(descriptor, write.table->offset(write.column) + first * size, stored, path);
        if (!std::equal(stored.begin(), stored.end(), write.bytes.begin() + static_cast<std::ptrdiff_t>(position))) return false;
        position += stored.size();
    }
    return true;
}

}  // namespace

std::vector<std::byte> read_row(const StoredTable& table, std::size_t column, std::size_t row, int descriptor,
                                const std::filesystem::path& path) {
    std::vector<std::byte> bytes(table.row_size(column));
    read_at(descriptor, table.offset(column) + row * bytes.size(), bytes, path);
    return bytes;
}

void check_record(const TableSpec& spec, const Record& record) {
    const auto where = "record " + record.id.hex() + " of table " + spec.name;
    if (record.status == RowStatus::pending) throw std::invalid_argument(where + ": status is pending, expected an outcome");
    for (const auto& [name, values] : record.values) {
        const auto* column = spec.find(name);
        if (column == nullptr || column->role != Column::Role::result) {
            throw std::invalid_argument(where + ": " + name + " is no result column");
        }
        const auto extents = row_extents(spec, *column);
        std::int64_t product = 1;
        bool fits = values.extents.size() == extents.size();
        for (std::size_t d = 0; fits && d < extents.size(); ++d) {
            fits = values.extents[d] >= 0 && values.extents[d] <= extents[d];
            product *= values.extents[d];
        }
        if (!fits || product != static_cast<std::int64_t>(values.numbers.size())) {
            std::string given, expected;
            for (const auto extent : values.extents) given += ' ' + std::to_string(extent);
            for (const auto extent : extents) expected += ' ' + std::to_string(extent);
            throw std::invalid_argument(where + ", column " + name + ": extents" + given + " with " +
                                        std::to_string(values.numbers.size()) + " numbers, expected at most" + expected);
        }
        encode_numbers(*column, values.numbers);  // throws for a value that the type cannot hold
    }
}

bool already_holds(const StoredTable& table, const PendingRow& pending, int descriptor, const std::filesystem::path& path) {
    const auto& spec = table.spec();
    const auto stored = [&]<class Number>(std::string_view column, Number number) {
        std::memcpy(&number, read_row(table, table.column(column), pending.row, descriptor, path).data(), sizeof number);
        return number;
    };
    const auto attempt = stored("attempt", std::int32_t{});
    std::vector<std::vector<std::byte>> columns(spec.columns.size());
    for (std::size_t c = 0; c < spec.columns.size(); ++c) {
        const auto& column = spec.columns[c];
        if ((is_payload(column) && column.name != "note_check") || column.name == "id") columns[c] = encode_column(spec, column, pending, attempt);
    }
    const auto row = [&](std::size_t c) { return std::span<const std::byte>(columns[c]); };
    return stored("commit", std::uint64_t{}) == commit_word(spec, row) && stored("note_check", std::uint64_t{}) == note_word(spec, row);
}

void write_checked(const std::vector<ColumnWrite>& columns, int descriptor, const std::filesystem::path& path,
                   CommitPeers& peers) {
    for (int attempt = 1;; ++attempt) {
        for (const auto& column : columns) {
            write_column(column, peers);
            fault_point("commit.column");
        }
        peers.flush();
        std::string wrong;
        for (const auto& column : columns) {
            if (!reads_back(column, descriptor, path)) {
                wrong = column.table->spec().name + '/' + column.table->spec().columns[column.column].name;
            }
        }
        if (!peers.any({static_cast<char>(!wrong.empty())})[0]) return;
        if (attempt == kWriteAttempts) {
            throw StorageError(path.string() + ": " + (wrong.empty() ? "rows of another rank" : "column " + wrong) +
                               " read back differently from what was written, " + std::to_string(kWriteAttempts) +
                               " times; these rows stay uncommitted. Check the disk, and that fs_ufs_lock_algorithm=3 is in effect");
        }
    }
}

void commit_rows(const std::vector<StoredTable>& tables, std::vector<std::vector<PendingRow>> rows, int descriptor,
                 const std::filesystem::path& path, CommitPeers& peers) {
    std::vector<ColumnWrite> clears, payload, words;
    std::vector<char> news(tables.size()), rewrites(tables.size());
    for (std::size_t t = 0; t < tables.size(); ++t) {
        const auto& table = tables[t];
        const auto& spec = table.spec();
        auto& pending = rows[t];
        std::sort(pending.begin(), pending.end(), [](const auto& a, const auto& b) { return a.row < b.row; });
        std::vector<std::size_t> numbers, committed;
        std::vector<int> attempts;
        const auto commit = table.column("commit"), attempt = table.column("attempt");
        for (const auto& row : pending) {
            numbers.push_back(row.row);
            // Read past HDF5, since another rank may have written the row: its count goes on, its commit word must go first.
            const auto word = read_row(table, commit, row.row, descriptor, path);
            if (word != fill_value(spec.columns[commit])) committed.push_back(row.row);
            std::int32_t count = 0;
            std::memcpy(&count, read_row(table, attempt, row.row, descriptor, path).data(), sizeof count);
            attempts.push_back(count + 1);
        }
        news[t] = !pending.empty();
        rewrites[t] = !committed.empty();
        clears.push_back({&table, commit, committed, std::vector<std::byte>(committed.size() * table.row_size(commit))});

        const auto note = table.column("note_check");
        std::vector<std::vector<std::byte>> columns(spec.columns.size());
        for (std::size_t c = 0; c < spec.columns.size(); ++c) {
            const auto& column = spec.columns[c];
            if (c == note || (!is_payload(column) && column.name != "id")) continue;
            for (std::size_t i = 0; i < pending.size(); ++i) {
                const auto bytes = encode_column(spec, column, pending[i], attempts[i]);
                columns[c].insert(columns[c].end(), bytes.begin(), bytes.end());
            }
        }
        ColumnWrite word{&table, commit, numbers, {}};
        for (std::size_t i = 0; i < pending.size(); ++i) {
            const auto row = [&](std::size_t c) {
                return std::span<const std::byte>(columns[c]).subspan(i * table.row_size(c), table.row_size(c));
            };
            append(columns[note], note_word(spec, row));
            append(word.bytes, commit_word(spec, row));
        }
        for (std::size_t c = 0; c < spec.columns.size(); ++c) {
            if (is_payload(spec.columns[c])) payload.push_back({&table, c, numbers, std::move(columns[c])});
        }
        words.push_back(std::move(word));
    }

    // Every rank takes part in a table's transfers if any has rows in it, and in none otherwise.
    auto flags = news;
    flags.insert(flags.end(), rewrites.begin(), rewrites.end());
    flags = peers.any(flags);
    const auto keep = [&](std::vector<ColumnWrite>& writes, std::size_t offset) {
        std::erase_if(writes, [&](const ColumnWrite& write) {
            return flags[offset + static_cast<std::size_t>(write.table - tables.data())] == 0;
        });
    };
    keep(clears, tables.size());
    keep(payload, 0);
    keep(words, 0);
    // Before a committed row is written again its word is cleared, on disk: no instant may show old words over new values.
    fault_point("commit.begin");
    if (!clears.empty()) write_checked(clears, descriptor, path, peers);
    fault_point("commit.cleared");
    if (!payload.empty()) write_checked(payload, descriptor, path, peers);
    fault_point("commit.payload");
    if (!words.empty()) write_checked(words, descriptor, path, peers);
    fault_point("commit.words");
}

CommitPeers serial_peers(hid_t file, int descriptor, const std::filesystem::path& path) {
    CommitPeers peers;
    peers.flush = [file, descriptor, path] {
        check_hdf5(H5Fflush(file, H5F_SCOPE_GLOBAL), "writing " + path.string());
        if (::fsync(descriptor) != 0) throw StorageError(path.string() + ": cannot be written to disk: " + std::strerror(errno));
    };
    peers.any = [](std::vector<char> flags) { return flags; };
    return peers;
}

}  // namespace cmsweep
