#include "layout.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <stdexcept>

#include <fcntl.h>
#include <unistd.h>

#include <hdf5_hl.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "cmsweep/base/files.hpp"

namespace cmsweep {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <typename T>
void put(std::vector<std::byte>& bytes, T value) {
    const auto* begin = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), begin, begin + sizeof value);
}

template <typename T>
T get(std::span<const std::byte> bytes, std::size_t index) {
    T value;
    std::memcpy(&value, bytes.data() + index * sizeof value, sizeof value);
    return value;
}

template <typename T>
void put_integer(std::vector<std::byte>& bytes, const Column& column, double number) {
    if (std::isnan(number)) number = -1;
    // The bounds as doubles: the upper one of the 64-bit types is not representable, hence the strict comparison.
    const double low = static_cast<double>(std::numeric_limits<T>::min());
    const double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
    if (!(number >= low && number < high) || number != std::floor(number)) {
        throw std::invalid_argument("column " + column.name + " = " + std::to_string(number) +
                                    ": expected an integer of " + std::to_string(8 * sizeof(T)) + " bits");
    }
    put(bytes, static_cast<T>(number));
}

/// A column that is no part of a table's description.
Column plain_column(std::string name, ValueType type, std::size_t text_size = 0) {
    return {std::move(name), type, Column::Role::label, {}, {}, {}, {}, text_size};
}

}  // namespace

std::vector<std::byte> encode_numbers(const Column& column, std::span<const double> numbers) {
    std::vector<std::byte> bytes;
    bytes.reserve(numbers.size() * value_size(column));
    for (const double number : numbers) {
        switch (column.type) {
            case ValueType::int8: put_integer<std::int8_t>(bytes, column, number); break;
            case ValueType::int32: put_integer<std::int32_t>(bytes, column, number); break;
            case ValueType::int64: put_integer<std::int64_t>(bytes, column, number); break;
            case ValueType::uint64: put_integer<std::uint64_t>(bytes, column, number); break;
            case ValueType::float64: put(bytes, std::isnan(number) ? kNaN : number); break;
            case ValueType::text: throw std::invalid_argument("column " + column.name + " holds text, not numbers");
        }
    }
    return bytes;
}

std::vector<double> decode_numbers(const Column& column, std::span<const std::byte> bytes) {
    std::vector<double> numbers(bytes.size() / value_size(column));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        switch (column.type) {
            case ValueType::int8: numbers[i] = get<std::int8_t>(bytes, i); break;
            case ValueType::int32: numbers[i] = get<std::int32_t>(bytes, i); break;
            case ValueType::int64: numbers[i] = static_cast<double>(get<std::int64_t>(bytes, i)); break;
            case ValueType::uint64: numbers[i] = static_cast<double>(get<std::uint64_t>(bytes, i)); break;
            case ValueType::float64: numbers[i] = get<double>(bytes, i); break;
            case ValueType::text: throw std::invalid_argument("column " + column.name + " holds text, not numbers");
        }
    }
    return numbers;
}

std::string cut_text(const std::string& text, std::size_t size) {
    if (text.size() <= size) return text;
    // Continuation bytes are 10xxxxxx: step back to the first byte of the sequence that would be split.
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    return text.substr(0, size);
}

std::vector<std::byte> encode_texts(const Column& column, std::span<const std::string> texts) {
    std::vector<std::byte> bytes(texts.size() * column.text_size);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto text = cut_text(texts[i], column.text_size);
        if (!text.empty()) std::memcpy(bytes.data() + i * column.text_size, text.data(), text.size());
    }
    return bytes;
}

std::vector<std::string> decode_texts(const Column& column, std::span<const std::byte> bytes) {
    std::vector<std::string> texts(bytes.size() / column.text_size);
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const auto* begin = reinterpret_cast<const char*>(bytes.data()) + i * column.text_size;
        texts[i].assign(begin, strnlen(begin, column.text_size));
    }
    return texts;
}

std::vector<std::byte> fill_value(const Column& column) {
    if (column.type == ValueType::text) return std::vector<std::byte>(column.text_size);
    const bool bookkeeping = column.role == Column::Role::bookkeeping || column.role == Column::Role::identity;
    const bool zero = bookkeeping && column.name != "rank" && column.name != "seconds";
    if (column.type == ValueType::uint64) return std::vector<std::byte>(sizeof(std::uint64_t));
    const double value = zero ? 0 : kNaN;
    return encode_numbers(column, std::span(&value, 1));
}

namespace {

/// A contiguous dataset whose space is allocated and filled at once, so that a full disk is found now and not when a result is written.
Hdf5Handle create_dataset(hid_t group, const Column& column, const std::vector<hsize_t>& extents) {
    Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "dataset properties");
    const auto type = value_type(column);
    check_hdf5(H5Pset_layout(properties.get(), H5D_CONTIGUOUS), "H5Pset_layout");
    check_hdf5(H5Pset_alloc_time(properties.get(), H5D_ALLOC_TIME_EARLY), "H5Pset_alloc_time");
    check_hdf5(H5Pset_fill_time(properties.get(), H5D_FILL_TIME_ALLOC), "H5Pset_fill_time");
    check_hdf5(H5Pset_fill_value(properties.get(), type.get(), fill_value(column).data()), "H5Pset_fill_value");
    check_hdf5(H5Pset_obj_track_times(properties.get(), false), "H5Pset_obj_track_times");
    Hdf5Handle space(H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), H5Sclose, "dataspace");
    return {H5Dcreate2(group, column.name.c_str(), type.get(), space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT),
            H5Dclose, "creating dataset " + column.name};
}

void write_whole(hid_t dataset, const Column& column, const std::vector<std::byte>& bytes) {
    if (bytes.empty()) return;
    const auto type = value_type(column);
    check_hdf5(H5Dwrite(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), "writing " + column.name);
    fault_point("fit.column");
}

/// The scale of the rows is a coordinate, one number a row. The others are two-dimensional (n x 1) pure netCDF dimensions:
/// only columns with one value a row are then one-dimensional, and `pandas.DataFrame` takes all of these as they are.
Hdf5Handle create_scale(hid_t group, const std::string& name, std::size_t size, bool rows) {
    const auto column = plain_column(name, ValueType::int64);
    std::vector<hsize_t> extents{size};
    if (!rows) extents.push_back(1);
    auto dataset = create_dataset(group, column, extents);
    std::vector<double> numbers(size);
    std::iota(numbers.begin(), numbers.end(), 0.0);
    write_whole(dataset.get(), column, encode_numbers(column, numbers));
    write_attribute(dataset.get(), "long_name", "number of the " + name);
    char title[80];
    // netCDF's own words for a dimension that is no variable (NetCDF-4 format specification, "Dimensions without coordinate variables").
    std::snprintf(title, sizeof title, "This is a netCDF dimension but not a netCDF variable. %9zu", size);
    check_hdf5(H5DSset_scale(dataset.get(), rows ? name.c_str() : title), "H5DSset_scale " + name);
    return dataset;
}

void write_table(hid_t file, const TableImage& image) {
    const auto& spec = image.spec;
    Hdf5Handle group(H5Gcreate2(file, spec.name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
                     "creating group " + spec.name);
    std::map<std::string, Hdf5Handle> scales;
    scales.emplace(image.row_dimension, create_scale(group.get(), image.row_dimension, image.rows, true));
    for (const auto& [name, size] : spec.dimensions) {
        scales.emplace(name, create_scale(group.get(), name, static_cast<std::size_t>(size), false));
    }
    for (const auto& column : spec.columns) {
        std::vector<hsize_t> extents{image.rows};
        for (const auto& dimension : column.dimensions) {
            extents.push_back(static_cast<hsize_t>(spec.dimensions.at(dimension)));
        }
        auto dataset = create_dataset(group.get(), column, extents);
        if (image.content && image.rows > 0) {
            const auto bytes = image.content(column);
            const auto expected = image.rows * static_cast<std::size_t>(spec.elements(column)) * value_size(column);
            if (!bytes.empty() && bytes.size() != expected) {
                throw std::logic_error(spec.name + '/' + column.name + ": " + std::to_string(bytes.size()) +
                                       " bytes, expected " + std::to_string(expected));
            }
            write_whole(dataset.get(), column, bytes);
        }
        if (!column.unit.empty()) write_attribute(dataset.get(), "units", column.unit);
        write_attribute(dataset.get(), "long_name", column.description);
        if (!column.axis.empty()) write_attribute(dataset.get(), "axis_table", "/axes/" + column.axis);
        int position = 0;
        check_hdf5(H5DSattach_scale(dataset.get(), scales.at(image.row_dimension).get(), 0), "H5DSattach_scale");
        for (const auto& dimension : column.dimensions) {
            check_hdf5(H5DSattach_scale(dataset.get(), scales.at(dimension).get(), static_cast<unsigned>(++position)),
                       "H5DSattach_scale " + dimension);
        }
        dataset.close();
    }
}

void write_scalar_text(hid_t file, const std::string& name, const std::string& text) {
    const auto column = plain_column(name, ValueType::text, std::max<std::size_t>(text.size(), 1));
    auto dataset = create_dataset(file, column, {});
    write_whole(dataset.get(), column, encode_texts(column, std::span(&text, 1)));
    dataset.close();
}

void sync_file(const std::filesystem::path& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const bool synced = descriptor >= 0 && ::fsync(descriptor) == 0;
    const int cause = errno;
    if (descriptor >= 0) ::close(descriptor);
    if (!synced) throw StorageError(path.string() + ": cannot be written to disk: " + std::strerror(cause));
}

}  // namespace

void write_store_file(const std::filesystem::path& path, const StoreImage& image) {
    try {
        auto file = create_serial(path);
        write_attribute(file.get(), "cmsweep_schema", kSchema);
        write_attribute(file.get(), "cmsweep_version", CMSWEEP_VERSION);
        write_attribute(file.get(), "name", image.identity.name);
        write_attribute(file.get(), "created", image.created);
        write_attribute(file.get(), "plan_digest", image.plan_digest.hex());
        write_scalar_text(file.get(), "config", image.identity.config_text);
        Hdf5Handle environment(H5Gcreate2(file.get(), "environment", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
                               "creating group environment");
        for (const auto& [key, value] : image.identity.environment.items()) {
            write_attribute(environment.get(), key, value.is_string() ? value.get<std::string>() : value.dump());
        }
        environment.close();
        Hdf5Handle axes(H5Gcreate2(file.get(), "axes", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose,
                        "creating group axes");
        axes.close();
        for (const auto& table : image.tables) write_table(file.get(), table);
        check_hdf5(H5Fflush(file.get(), H5F_SCOPE_GLOBAL), "writing " + path.string());
        file.close();
        sync_file(path);
    } catch (...) {
        std::error_code ignored;
        std::filesystem::remove(path, ignored);
        throw;
    }
}

TableSpec runs_table() {
    const auto text = [](std::string name, std::size_t size, std::string description) {
        return Column{std::move(name), ValueType::text, Column::Role::bookkeeping, {}, {}, {}, std::move(description), size};
    };
    const auto time = [](std::string name, std::string description) {
        return Column{std::move(name), ValueType::float64, Column::Role::result, {}, {}, "seconds since 1970-01-01",
                      std::move(description), 0};
    };
    return {"runs",
            {time("started", "start of the run; NaN in free slots"), time("ended", "end of the run; NaN if it did not end cleanly"),
             Column{"ranks", ValueType::int32, Column::Role::result, {}, {}, "1", "MPI ranks", 0},
             text("hosts", 256, "hosts of the ranks"), text("version", 64, "version of cmsweep"),
             text("outcome", 64, "how the run ended: running, killed, or as the program said")},
            {}};
}

std::vector<TableImage> axis_tables(const Axes& axes) {
    std::vector<TableImage> tables;
    for (const auto& [axis, names] : axes.names) {
        const auto text = [](const std::string& name, const std::vector<std::string>& texts, std::string description) {
            std::size_t size = 1;
            for (const auto& entry : texts) size = std::max(size, entry.size());
            return Column{name, ValueType::text, Column::Role::label, {}, {}, {}, std::move(description), size};
        };
        TableImage image{{"axes/" + axis, {}, {}}, names.size(), axis, {}};
        std::map<std::string, std::vector<std::byte>> contents;
        const auto add = [&](Column column, std::vector<std::byte> bytes) {
            if (column.name == axis || !contents.emplace(column.name, std::move(bytes)).second) {
                throw std::logic_error("axis " + axis + ": two columns are called " + column.name);
            }
            image.spec.columns.push_back(std::move(column));
        };
        auto name = text("name", names, "name of each code");
        add(name, encode_texts(name, names));
        if (axis == "pair") {
            std::size_t most = 1;
            std::vector<std::string> all;
            const std::vector<std::string> none;
            const auto known = axes.members.find(axis);
            const auto members = [&](std::size_t i) -> const std::vector<std::string>& {
                return known != axes.members.end() && i < known->second.size() ? known->second[i] : none;
            };
            for (std::size_t i = 0; i < names.size(); ++i) most = std::max(most, members(i).size());
            for (std::size_t i = 0; i < names.size(); ++i) {
                all.insert(all.end(), members(i).begin(), members(i).end());
                all.resize((i + 1) * most);
            }
            image.spec.dimensions = {{"member", static_cast<std::int64_t>(most)}};
            auto column = text("members", all, "names of the members, padded with empty ones");
            column.dimensions = {"member"};
            add(column, encode_texts(column, all));
        }
        if (axis == "setting") {
            Column method{"method", ValueType::int32, Column::Role::label, {}, "method", {}, "way of combining", 0};
            std::vector<double> codes(axes.setting_method.begin(), axes.setting_method.end());
            codes.resize(names.size(), -1);
            add(method, encode_numbers(method, codes));
            auto texts = axes.setting_parameters;
            texts.resize(names.size());
            auto parameters = text("parameters", texts, "parameters as canonical JSON");
            add(parameters, encode_texts(parameters, texts));
            for (const auto& [parameter, values] : axes.setting_numbers) {
                Column column{parameter, ValueType::float64, Column::Role::label, {}, {}, {},
                              "parameter " + parameter + "; NaN where the method lacks it or it is no number", 0};
                auto numbers = values;
                numbers.resize(names.size(), kNaN);
                add(column, encode_numbers(column, numbers));
            }
        }
        image.content = [contents = std::move(contents)](const Column& column) { return contents.at(column.name); };
        tables.push_back(std::move(image));
    }
    return tables;
}

namespace {

std::vector<std::string> read_texts(hid_t dataset, const std::string& name) {
    const auto column = plain_column(name, ValueType::text, stored_text_size(dataset));
    if (column.text_size == 0) throw StorageError("dataset " + name + " holds no fixed-length text");
    return decode_texts(column, read_dataset(dataset, column));
}

}  // namespace

Axes read_axes(hid_t file) {
    Axes axes;
    const auto root = open_group(file, "axes");
    for (const auto& axis : link_names(root.get())) {
        const auto group = open_group(root.get(), axis);
        const auto names = read_texts(open_dataset(group.get(), "name").get(), "axes/" + axis + "/name");
        axes.names[axis] = names;
        if (axis == "pair") {
            const auto dataset = open_dataset(group.get(), "members");
            const auto extents = dataset_extents(dataset.get());
            const auto all = read_texts(dataset.get(), "axes/pair/members");
            if (extents.size() != 2 || extents[0] != static_cast<std::int64_t>(names.size())) {
                throw StorageError("axes/pair/members does not have one row a pair");
            }
            auto& members = axes.members[axis];
            for (std::size_t i = 0; i < names.size(); ++i) {
                members.emplace_back();
                for (std::int64_t m = 0; m < extents[1]; ++m) {
                    const auto& member = all[i * static_cast<std::size_t>(extents[1]) + static_cast<std::size_t>(m)];
                    if (!member.empty()) members.back().push_back(member);
                }
            }
        }
        if (axis == "setting") {
            const auto numbers = [&](const std::string& name, ValueType type) {
                const auto column = plain_column(name, type);
                const auto dataset = open_dataset(group.get(), name);
                if (!has_type(dataset.get(), column)) throw StorageError("axes/setting/" + name + " has another type");
                auto values = decode_numbers(column, read_dataset(dataset.get(), column));
                if (values.size() != names.size()) throw StorageError("axes/setting/" + name + " has another length");
                return values;
            };
            for (const double code : numbers("method", ValueType::int32)) {
                axes.setting_method.push_back(static_cast<std::int64_t>(code));
            }
            axes.setting_parameters = read_texts(open_dataset(group.get(), "parameters").get(), "axes/setting/parameters");
            axes.setting_parameters.resize(names.size());
            for (const auto& name : link_names(group.get())) {
                if (name == "name" || name == "method" || name == "parameters" || name == axis) continue;
                axes.setting_numbers[name] = numbers(name, ValueType::float64);
            }
        }
    }
    return axes;
}

StoreHeader read_header(hid_t file, const std::filesystem::path& path) {
    try {
        const auto schema = read_integer_attribute(file, "cmsweep_schema");
        if (schema != kSchema) {
            throw InputError(path.string() + ": store schema " + std::to_string(schema) + ", this cmsweep reads schema " +
                             std::to_string(kSchema) + "; use the version that wrote it, or another [sweep] output");
        }
        return {read_text_attribute(file, "name"), Id::parse(read_text_attribute(file, "plan_digest")),
                read_text_attribute(file, "created")};
    } catch (const StorageError& error) {
        throw InputError(path.string() + ": an HDF5 file, but no cmsweep store (" + error.what() +
                         "); choose another [sweep] output");
    }
}

Hdf5Handle open_store(const std::filesystem::path& path, bool write) {
    if (!std::filesystem::exists(path)) throw InputError(path.string() + ": no such store; expected a file made by cmsweep");
    Hdf5Handle file;
    try {
        file = open_serial(path, write);
    } catch (const StorageError& error) {
        throw InputError(path.string() + ": cannot be opened as a cmsweep store; it is no HDF5 file, truncated or not readable: " +
                         error.what());
    }
    read_header(file.get(), path);
    return file;
}

std::vector<std::string> result_table_names() { return {"experiments", "similarity", "training", "routing"}; }

namespace {

TableSpec known_table(const std::string& name) {
    for (const auto& spec : {experiments_table({}), similarity_table({}), training_table({}), routing_table({}), runs_table()}) {
        if (spec.name == name) return spec;
    }
    throw InputError("table " + name + ": expected experiments, similarity, training, routing or runs");
}

}  // namespace

StoredTable::StoredTable(hid_t file, const std::string& name) : spec_(known_table(name)), group_(open_group(file, name)) {
    for (auto& [dimension, size] : spec_.dimensions) {
        const auto extents = dataset_extents(open_dataset(group_.get(), dimension).get());
        if (extents.size() != 2) throw StorageError(name + '/' + dimension + " is no dimension scale of cmsweep");
        size = extents[0];
    }
    const auto rows = dataset_extents(open_dataset(group_.get(), "row").get());
    if (rows.size() != 1) throw StorageError(name + "/row is no dimension scale of cmsweep");
    rows_ = static_cast<std::size_t>(rows[0]);
    for (const auto& column : spec_.columns) {
        std::vector<std::int64_t> expected{rows[0]};
        for (const auto& dimension : column.dimensions) expected.push_back(spec_.dimensions.at(dimension));
        auto dataset = open_dataset(group_.get(), column.name);
        if (!has_type(dataset.get(), column)) {
            throw StorageError(name + '/' + column.name + " has another type than schema " + std::to_string(kSchema) + " says");
        }
        if (dataset_extents(dataset.get()) != expected) {
            throw StorageError(name + '/' + column.name + " has other extents than its dimensions");
        }
        dataset_values(dataset.get(), column);
        datasets_.push_back(std::move(dataset));
        row_sizes_.push_back(static_cast<std::size_t>(spec_.elements(column)) * value_size(column));
    }
}

std::uint64_t StoredTable::offset(std::size_t column) const {
    const auto address = H5Dget_offset(datasets_[column].get());
    if (address == HADDR_UNDEF) throw StorageError(spec_.name + '/' + spec_.columns[column].name + " has no place in the file");
    return address;
}

std::size_t StoredTable::column(std::string_view name) const {
    for (std::size_t i = 0; i < spec_.columns.size(); ++i) {
        if (spec_.columns[i].name == name) return i;
    }
    throw InputError("table " + spec_.name + " has no column " + std::string(name));
}

std::vector<std::byte> StoredTable::read(std::string_view name) const {
    const auto index = column(name);
    return read_dataset(datasets_[index].get(), spec_.columns[index]);
}

void StoredTable::close() {
    for (auto& dataset : datasets_) dataset.close();
    group_.close();
}

void StoredTable::release() {
    for (auto& dataset : datasets_) dataset.release();
    group_.release();
}

std::vector<StoredTable> open_tables(hid_t file) {
    std::vector<StoredTable> tables;
    for (const auto& name : result_table_names()) {
        if (has_link(file, name)) tables.emplace_back(file, name);
    }
    return tables;
}

namespace {

/// Is element `index` of a row the padding of its column?
bool absent(const Column& column, std::span<const std::byte> row, std::size_t index) {
    switch (column.type) {
        case ValueType::int8: return get<std::int8_t>(row, index) == -1;
        case ValueType::int32: return get<std::int32_t>(row, index) == -1;
        case ValueType::int64: return get<std::int64_t>(row, index) == -1;
        case ValueType::uint64: return get<std::uint64_t>(row, index) == 0;
        case ValueType::float64: {
            // Bit for bit: a damaged NaN is a value, and so changes the checksum.
            return get<std::uint64_t>(row, index) == std::bit_cast<std::uint64_t>(kNaN);
        }
        case ValueType::text: return false;
    }
    return false;
}

using RowBytes = std::function<std::span<const std::byte>(std::size_t)>;

/// Magic, and the CRC-32 of two columns as they are and of every present value of the `listed` ones with its position.
std::uint64_t row_word(const TableSpec& spec, const RowBytes& bytes, std::string_view first, std::string_view second,
                       const std::function<bool(const Column&)>& listed) {
    std::vector<std::byte> present;
    for (std::size_t c = 0; c < spec.columns.size(); ++c) {
        const auto& column = spec.columns[c];
        if (column.name == first || column.name == second) {
            const auto row = bytes(c);
            present.insert(present.end(), row.begin(), row.end());
        }
    }
    for (std::size_t c = 0; c < spec.columns.size(); ++c) {
        const auto& column = spec.columns[c];
        if (!listed(column)) continue;
        const auto row = bytes(c);
        const auto size = value_size(column);
        const auto count = row.size() / size;
        const auto* name = reinterpret_cast<const std::byte*>(column.name.data());
        present.insert(present.end(), name, name + column.name.size());
        for (std::size_t i = 0; i < count; ++i) {
            if (absent(column, row, i)) continue;
            // The position as one index a dimension, innermost first, since the linear one depends on the extents.
            std::size_t rest = i;
            for (auto d = column.dimensions.rbegin(); d != column.dimensions.rend(); ++d) {
                const auto extent = static_cast<std::size_t>(spec.dimensions.at(*d));
                put(present, static_cast<std::uint32_t>(rest % extent));
                rest /= extent;
            }
            const auto value = row.subspan(i * size, size);
            present.insert(present.end(), value.begin(), value.end());
        }
    }
    return kCommitMagic | crc32(present);
}

}  // namespace

std::uint64_t commit_word(const TableSpec& spec, const RowBytes& bytes) {
    return row_word(spec, bytes, "id", "status", [](const Column& column) { return column.role == Column::Role::result; });
}

std::uint64_t label_word(const TableSpec& spec, const RowBytes& bytes) {
    return row_word(spec, bytes, "id", "in_plan", [](const Column& column) { return column.role == Column::Role::label; });
}

std::uint64_t note_word(const TableSpec& spec, const RowBytes& bytes) {
    return row_word(spec, bytes, "message", "attempt", [](const Column& column) {
        return column.name == "rank" || column.name == "seconds" || column.name == "retryable";
    });
}

TableRowsBytes::TableRowsBytes(const StoredTable& table, std::size_t first, std::size_t count) {
    for (std::size_t c = 0; c < table.spec().columns.size(); ++c) {
        const auto& column = table.spec().columns[c];
        row_sizes_.push_back(table.row_size(c));
        std::vector<std::byte> bytes(count * table.row_size(c));
        if (!bytes.empty()) {
            std::vector<hsize_t> start(1 + column.dimensions.size(), 0), counts{count};
            start[0] = first;
            for (const auto& d : column.dimensions) counts.push_back(static_cast<hsize_t>(table.spec().dimensions.at(d)));
            Hdf5Handle file_space(H5Dget_space(table.dataset(c)), H5Sclose, "dataspace");
            check_hdf5(H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, start.data(), nullptr, counts.data(), nullptr),
                       "selecting rows");
            Hdf5Handle memory(H5Screate_simple(static_cast<int>(counts.size()), counts.data(), nullptr), H5Sclose, "dataspace");
            const auto type = value_type(column);
            check_hdf5(H5Dread(table.dataset(c), type.get(), memory.get(), file_space.get(), H5P_DEFAULT, bytes.data()),
                       "reading " + table.spec().name + '/' + column.name);
        }
        columns_.push_back(std::move(bytes));
    }
}

namespace {

/// visit(row) for every row, where row(c) gives its bytes of column c.
void for_rows(const StoredTable& table, const std::function<void(const RowBytes&)>& visit) {
    constexpr std::size_t kRowsAtOnce = 1024;  // bounds the memory
    for (std::size_t first = 0; first < table.rows(); first += kRowsAtOnce) {
        const auto count = std::min(kRowsAtOnce, table.rows() - first);
        const TableRowsBytes bytes(table, first, count);
        for (std::size_t r = 0; r < count; ++r) visit([&](std::size_t c) { return bytes.at(c, r); });
    }
}

}  // namespace

std::vector<CommitState> commit_states(const StoredTable& table) {
    std::vector<CommitState> states;
    states.reserve(table.rows());
    const auto commit = table.column("commit"), status = table.column("status"), note = table.column("note_check");
    for_rows(table, [&](const RowBytes& row) {
        const auto word = get<std::uint64_t>(row(commit), 0);
        const auto state = get<std::int8_t>(row(status), 0);
        if (word == 0) {
            states.push_back(CommitState::none);
            return;
        }
        const bool sound = word == commit_word(table.spec(), row) && get<std::uint64_t>(row(note), 0) == note_word(table.spec(), row) &&
                           state > 0 && state <= static_cast<std::int8_t>(RowStatus::quarantined);
        states.push_back(sound ? CommitState::valid : CommitState::broken);
    });
    return states;
}

std::vector<bool> sound_labels(const StoredTable& table) {
    std::vector<bool> sound;
    sound.reserve(table.rows());
    const auto check = table.column("label_check");
    for_rows(table, [&](const RowBytes& row) { sound.push_back(get<std::uint64_t>(row(check), 0) == label_word(table.spec(), row)); });
    return sound;
}

}  // namespace cmsweep
