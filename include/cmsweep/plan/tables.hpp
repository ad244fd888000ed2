#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cmsweep/base/id.hpp"

// The result tables as data: what the plan knows, the executor fills and the store writes. The store's code is driven by
// these descriptions alone, so that a new column is one line in tables.cpp.
namespace cmsweep {

enum class ValueType { int8, int32, int64, uint64, float64, text };

struct Column {
    std::string name;
    ValueType type = ValueType::float64;
    enum class Role { identity, label, result, bookkeeping } role = Role::result;
    std::vector<std::string> dimensions;  ///< after `row`; sizes in TableSpec::dimensions
    std::string axis;                     ///< label: codes into /axes/<axis>; empty: plain numbers
    std::string unit;                     ///< "nat", "1", "s", …; empty for labels
    std::string description;
    std::size_t text_size = 0;            ///< bytes, for text

    bool operator==(const Column&) const = default;
};

struct TableSpec {
    std::string name;                               ///< the HDF5 group
    std::vector<Column> columns;                    ///< identity and bookkeeping columns (common to all) first
    std::map<std::string, std::int64_t> dimensions; ///< sizes of every dimension but `row`

    const Column* find(std::string_view column) const;
    std::int64_t elements(const Column& column) const;  ///< values per row
};

/// Status of a row, as stored.
enum class RowStatus : std::int8_t { pending = 0, done = 1, failed = 2, quarantined = 3 };

/// Longest error message kept (bytes, fixed-length column); longer ones are cut at a UTF-8 boundary.
inline constexpr std::size_t kMessageSize = 256;

/// Groups of consecutive windows whose mean losses are kept with every experiment.
inline constexpr std::int64_t kLossBlocks = 64;

/// The planned rows of a table. `labels` has every label column: rows x elements values, row-major; integers too (exact in
/// double up to 2^53). Coded columns hold indices into Axes::names of this plan.
struct TableRows {
    TableSpec spec;
    std::vector<Id> ids;
    std::map<std::string, std::vector<double>> labels;
    std::size_t rows() const { return ids.size(); }
};

/// Name tables. Codes are positions.
struct Axes {
    std::map<std::string, std::vector<std::string>> names;          ///< axis -> names ("setting": "method {canonical json}")
    std::map<std::string, std::vector<std::vector<std::string>>> members;  ///< axis "pair": its members' names
    /// Axis "setting": method code, parameters as canonical JSON, and every numeric parameter (NaN where a method lacks it).
    std::vector<std::int64_t> setting_method;
    std::vector<std::string> setting_parameters;
    std::map<std::string, std::vector<double>> setting_numbers;
};

/// One computed result: the values of one id in one table. Arrays may be smaller than the table's dimensions; the store
/// pads them (NaN, -1).
struct Record {
    std::string table;
    Id id;
    RowStatus status = RowStatus::done;
    bool retryable = false;  ///< failed by an exception or a timeout: worth another start
    std::string message;
    double seconds = 0;      ///< of computing
    struct Values {
        std::vector<std::int64_t> extents;  ///< empty: a scalar
        std::vector<double> numbers;
    };
    std::map<std::string, Values> values;

    void set(const std::string& column, double value) { values[column] = {{}, {value}}; }
    void set(const std::string& column, std::vector<std::int64_t> extents, std::vector<double> numbers) {
        values[column] = {std::move(extents), std::move(numbers)};
    }
};

/// Compact exact binary form, for messages and journals. parse throws InputError on damaged bytes.
std::vector<std::byte> serialise(const Record& record);
Record parse_record(std::span<const std::byte> bytes);

/// The tables of schema 1 with these sizes.
struct TableSizes {
    std::int64_t members = 2;   ///< most members of any pair
    std::int64_t blocks = 1;
    std::int64_t steps = 1;     ///< longest trajectory
    std::int64_t experts = 1;   ///< most experts in a block
};
inline constexpr int kSchema = 1;
TableSpec experiments_table(const TableSizes& sizes);
TableSpec similarity_table(const TableSizes& sizes);
TableSpec training_table(const TableSizes& sizes);
TableSpec routing_table(const TableSizes& sizes);

}  // namespace cmsweep
