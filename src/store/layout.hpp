#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cmsweep/plan/plan.hpp"
#include "cmsweep/store/store.hpp"
#include "hdf5.hpp"

// How tables lie in the file: encoding of values, creation of a whole file, and the view of an existing one. STORE.md "Layout".
namespace cmsweep {

/// The value of a column that nobody has written: NaN, -1, empty; 0 for status, in_plan, commit, attempt and the like.
std::vector<std::byte> fill_value(const Column& column);
/// Numbers as the column's bytes. NaN becomes the one canonical NaN, or -1 in an integer column.
std::vector<std::byte> encode_numbers(const Column& column, std::span<const double> numbers);
std::vector<std::byte> encode_texts(const Column& column, std::span<const std::string> texts);
std::vector<double> decode_numbers(const Column& column, std::span<const std::byte> bytes);
std::vector<std::string> decode_texts(const Column& column, std::span<const std::byte> bytes);
/// `text` cut to at most `size` bytes, never inside a UTF-8 sequence.
std::string cut_text(const std::string& text, std::size_t size);

/// One group of the file to be created. `content(column)` gives the bytes of all rows, or nothing where they stay at the fill value.
struct TableImage {
    TableSpec spec;                   ///< spec.name: path of the group
    std::size_t rows = 0;
    std::string row_dimension = "row";
    std::function<std::vector<std::byte>(const Column&)> content;
};

struct StoreImage {
    StoreIdentity identity;
    Id plan_digest;
    std::string created;              ///< UTC, ISO 8601
    std::vector<TableImage> tables;   ///< results, axes and runs
};

/// Creates and fills `path` with the serial driver, every dataset contiguous and allocated at once, with a dimension scale for
/// each of its dimensions in its own group; fsync. Throws StorageError; a partial file is removed.
void write_store_file(const std::filesystem::path& path, const StoreImage& image);

/// The /runs table, and /axes/* as tables of their own.
inline constexpr std::size_t kRunSlots = 64;
inline constexpr const char* kRunning = "running";  ///< outcome of a run that has not ended
TableSpec runs_table();
std::vector<TableImage> axis_tables(const Axes& axes);
Axes read_axes(hid_t file);

/// Checks the root attributes. Throws InputError: no cmsweep store, or another schema.
struct StoreHeader {
    std::string name;
    Id plan_digest;
    std::string created;
};
StoreHeader read_header(hid_t file, const std::filesystem::path& path);
/// Opens read-only or for raw writes and checks the header. Throws InputError.
Hdf5Handle open_store(const std::filesystem::path& path, bool write);

/// A result table (or runs) of an existing file.
class StoredTable {
public:
    /// Opens every column of the table that this version knows. Throws StorageError: a column is missing, has another type or other extents.
    StoredTable(hid_t file, const std::string& name);

    const TableSpec& spec() const { return spec_; }
    std::size_t rows() const { return rows_; }
    hid_t dataset(std::size_t column) const { return datasets_[column].get(); }
    std::size_t row_size(std::size_t column) const { return row_sizes_[column]; }  ///< bytes
    std::uint64_t offset(std::size_t column) const;  ///< of the first byte in the file; rows() > 0
    std::size_t column(std::string_view name) const;
    std::vector<std::byte> read(std::string_view column) const;  ///< all rows
    void close();                                                ///< checked
    void release();                                              ///< forgets the handles

private:
    TableSpec spec_;
    std::size_t rows_ = 0;
    Hdf5Handle group_;
    std::vector<Hdf5Handle> datasets_;
    std::vector<std::size_t> row_sizes_;
};

/// Result tables that exist in the file, in the order of result_table_names().
std::vector<std::string> result_table_names();
std::vector<StoredTable> open_tables(hid_t file);

/// The upper half of every commit word.
inline constexpr std::uint64_t kCommitMagic = 0x434D'5357'0000'0000;  // "CMSW"
/// Commit word of a row: magic, and the CRC-32 of id, status and every present result value with its position. NaN and -1 mean
/// "absent" and do not count, so that the word stays valid in a file with larger dimensions. `bytes(c)`: the row's bytes of column c.
std::uint64_t commit_word(const TableSpec& spec, const std::function<std::span<const std::byte>(std::size_t)>& bytes);

/// The other two checksums of a row, so that every column has one. label_check, over id, in_plan and labels, is written with the
/// file; note_check, over what tells how a result was made, with the result.
std::uint64_t label_word(const TableSpec& spec, const std::function<std::span<const std::byte>(std::size_t)>& bytes);
std::uint64_t note_word(const TableSpec& spec, const std::function<std::span<const std::byte>(std::size_t)>& bytes);

/// All columns of consecutive rows, for checking.
class TableRowsBytes {
public:
    TableRowsBytes(const StoredTable& table, std::size_t first, std::size_t count);
    /// Bytes of one row; `row` counts from `first`.
    std::span<const std::byte> at(std::size_t column, std::size_t row) const {
        return std::span(columns_[column]).subspan(row * row_sizes_[column], row_sizes_[column]);
    }

private:
    std::vector<std::vector<std::byte>> columns_;
    std::vector<std::size_t> row_sizes_;
};

/// Is there a commit word, and do it and note_check fit the row's values?
enum class CommitState { none, valid, broken };
/// Of every row.
std::vector<CommitState> commit_states(const StoredTable& table);
/// Of every row, committed or not: does label_check fit the labels?
std::vector<bool> sound_labels(const StoredTable& table);

}  // namespace cmsweep
