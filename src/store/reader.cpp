#include <algorithm>

#include "cmsweep/base/error.hpp"
#include "cmsweep/store/store.hpp"
#include "layout.hpp"
#include "probe.hpp"

namespace cmsweep {

struct StoreReader::State {
    std::filesystem::path path;
    Hdf5Handle file;

    /// Runs `read`, whose HDF5 failures are the user's to mend: a damaged file, or a name that is not there.
    template <typename Read>
    auto guarded(const std::string& what, Read read) const {
        try {
            return read();
        } catch (const StorageError& error) {
            throw InputError(path.string() + ": " + what + " cannot be read: " + error.what());
        }
    }
};

StoreReader::StoreReader(const std::filesystem::path& path) : state_(std::make_unique<State>()) {
    state_->path = path;
    probe_store(path);
    state_->file = open_store(path, false);
}

StoreReader::~StoreReader() = default;
StoreReader::StoreReader(StoreReader&&) noexcept = default;

std::string StoreReader::name() const { return read_header(state_->file.get(), state_->path).name; }
int StoreReader::schema() const {
    return state_->guarded("the schema", [&] {
        return static_cast<int>(read_integer_attribute(state_->file.get(), "cmsweep_schema"));
    });
}

namespace {

/// The column's type as stored, whatever table it belongs to.
Column stored_column(hid_t dataset, const std::string& name) {
    Column column;
    column.name = name;
    for (const auto type : {ValueType::int8, ValueType::int32, ValueType::int64, ValueType::uint64, ValueType::float64}) {
        column.type = type;
        if (has_type(dataset, column)) return column;
    }
    column.type = ValueType::text;
    column.text_size = stored_text_size(dataset);
    if (column.text_size == 0) throw StorageError(name + " has a type that cmsweep does not write");
    return column;
}

/// Dimensions that carry no numbers of their own: two-dimensional scales.
bool is_scale(hid_t dataset) { return check_hdf5(H5Aexists(dataset, "CLASS"), "H5Aexists") > 0; }

}  // namespace

std::string StoreReader::config_text() const {
    return state_->guarded("config", [&] {
        const auto dataset = open_dataset(state_->file.get(), "config");
        const auto column = stored_column(dataset.get(), "config");
        if (column.type != ValueType::text) throw StorageError("config is no text");
        return decode_texts(column, read_dataset(dataset.get(), column)).at(0);
    });
}

std::string StoreReader::environment(const std::string& key) const {
    return state_->guarded("environment", [&]() -> std::string {
        const auto group = open_group(state_->file.get(), "environment");
        if (check_hdf5(H5Aexists(group.get(), key.c_str()), "H5Aexists") == 0) return "";
        return read_text_attribute(group.get(), key);
    });
}

std::vector<std::string> StoreReader::tables() const {
    return state_->guarded("the list of tables", [&] {
        std::vector<std::string> names;
        for (const auto& name : result_table_names()) {
            if (has_link(state_->file.get(), name)) names.push_back(name);
        }
        return names;
    });
}

std::size_t StoreReader::rows(const std::string& table) const {
    return state_->guarded(table, [&] { return StoredTable(state_->file.get(), table).rows(); });
}

std::vector<std::string> StoreReader::columns(const std::string& table) const {
    return state_->guarded(table, [&] {
        const auto group = open_group(state_->file.get(), table);
        std::vector<std::string> names;
        const auto known = result_table_names();
        if (table == "runs" || std::count(known.begin(), known.end(), table) > 0) {
            const StoredTable stored(state_->file.get(), table);
            for (const auto& column : stored.spec().columns) names.push_back(column.name);
        }
        // Then whatever else is there: axes, columns of a newer version.
        for (const auto& name : link_names(group.get())) {
            if (std::count(names.begin(), names.end(), name) > 0) continue;
            if (!is_scale(open_dataset(group.get(), name).get())) names.push_back(name);
        }
        return names;
    });
}

StoreReader::Numbers StoreReader::numbers(const std::string& table, const std::string& column) const {
    return state_->guarded(table + '/' + column, [&] {
        const auto group = open_group(state_->file.get(), table);
        const auto dataset = open_dataset(group.get(), column);
        const auto stored = stored_column(dataset.get(), column);
        if (stored.type == ValueType::text) throw StorageError("it holds text, not numbers");
        return Numbers{dataset_extents(dataset.get()), decode_numbers(stored, read_dataset(dataset.get(), stored))};
    });
}

std::vector<std::string> StoreReader::texts(const std::string& table, const std::string& column) const {
    return state_->guarded(table + '/' + column, [&] {
        const auto group = open_group(state_->file.get(), table);
        const auto dataset = open_dataset(group.get(), column);
        const auto stored = stored_column(dataset.get(), column);
        if (stored.type != ValueType::text) throw StorageError("it holds numbers, not text");
        return decode_texts(stored, read_dataset(dataset.get(), stored));
    });
}

Axes StoreReader::axes() const {
    return state_->guarded("axes", [&] { return read_axes(state_->file.get()); });
}

}  // namespace cmsweep
