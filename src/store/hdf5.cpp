#include "hdf5.hpp"

#include <algorithm>
#include <utility>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

/// Every line of HDF5's error stack, innermost last: there stands the errno of a failed write.
std::string error_stack() {
    std::string text;
    const auto append = [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
        auto& stack = *static_cast<std::string*>(out);
        if (error->desc != nullptr && *error->desc != '\0') {
            if (!stack.empty()) stack += ": ";
            stack += error->desc;
        }
        return 0;
    };
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, append, &text);
    return text;
}

Hdf5Handle make_access() {
    Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "file access properties");
    // Closing a file closes whatever is still open in it, so that no file outlives its handle.
    check_hdf5(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "H5Pset_fclose_degree");
    // The program has locks of its own (StoreLock); HDF5's would refuse to open a store that somebody is reading.
    check_hdf5(H5Pset_file_locking(access.get(), false, true), "H5Pset_file_locking");
    return access;
}

}  // namespace

std::int64_t check_hdf5(std::int64_t code, const std::string& what) {
    if (code >= 0) return code;
    auto stack = error_stack();
    const bool full = stack.find("errno = 28") != std::string::npos || stack.find("errno = 122") != std::string::npos ||
                      stack.find("errno = 27,") != std::string::npos;
    throw StorageError(what + (full ? ": the disk or the quota is full; free some space and run again" : "") +
                       " (HDF5: " + (stack.empty() ? "no further detail" : stack) + ")");
}

Hdf5Handle::Hdf5Handle(hid_t id, Closer closer, std::string what)
    : id_(id), closer_(closer), what_(std::move(what)) {
    check_hdf5(id, what_);
}

Hdf5Handle::Hdf5Handle(Hdf5Handle&& other) noexcept
    : id_(std::exchange(other.id_, -1)), closer_(other.closer_), what_(std::move(other.what_)) {}

Hdf5Handle& Hdf5Handle::operator=(Hdf5Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(closer_, other.closer_);
    std::swap(what_, other.what_);
    return *this;
}

Hdf5Handle::~Hdf5Handle() {
    if (id_ >= 0) closer_(id_);
}

void Hdf5Handle::close() {
    if (id_ >= 0) check_hdf5(closer_(std::exchange(id_, -1)), "closing " + what_);
}

void initialise_hdf5() {
    // Before anything else: a file that an aborting run left open must not be closed collectively while the process exits.
    H5dont_atexit();
    check_hdf5(H5open(), "starting HDF5");
    check_hdf5(H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr), "H5Eset_auto2");
    unsigned major = 0, minor = 0, release = 0;
    check_hdf5(H5get_libversion(&major, &minor, &release), "H5get_libversion");
    if (major != H5_VERS_MAJOR || minor != H5_VERS_MINOR) {
        throw InputError("HDF5 " + std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(release) +
                         " is loaded, cmsweep was built with " + H5_VERS_INFO +
                         "; another library may bring its own copy: check LD_LIBRARY_PATH");
    }
}

Hdf5Handle create_serial(const std::filesystem::path& path) {
    initialise_hdf5();
    auto access = make_access();
    // Superblock 0 carries no "opened for writing" mark that a kill would leave behind.
    check_hdf5(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), "H5Pset_libver_bounds");
    return {H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), H5Fclose, "creating " + path.string()};
}

Hdf5Handle open_serial(const std::filesystem::path& path, bool write) {
    initialise_hdf5();
    auto access = make_access();
    return {H5Fopen(path.c_str(), write ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access.get()), H5Fclose,
            "opening " + path.string()};
}

Hdf5Handle open_parallel(const std::filesystem::path& path, MPI_Comm communicator) {
    initialise_hdf5();
    auto access = make_access();
    check_hdf5(H5Pset_fapl_mpio(access.get(), communicator, MPI_INFO_NULL), "H5Pset_fapl_mpio");
    // One rank reads the metadata and tells the others: hundreds of ranks do not all parse the same headers.
    check_hdf5(H5Pset_all_coll_metadata_ops(access.get(), true), "H5Pset_all_coll_metadata_ops");
    return {H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()), H5Fclose, "opening " + path.string() + " on all ranks"};
}

Hdf5Handle make_transfer(bool collective) {
    Hdf5Handle transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose, "transfer properties");
    if (collective) check_hdf5(H5Pset_dxpl_mpio(transfer.get(), H5FD_MPIO_COLLECTIVE), "H5Pset_dxpl_mpio");
    return transfer;
}

namespace {

Hdf5Handle text_type(std::size_t size, H5T_str_t padding) {
    Hdf5Handle type(H5Tcopy(H5T_C_S1), H5Tclose, "text type");
    check_hdf5(H5Tset_size(type.get(), size), "H5Tset_size");
    check_hdf5(H5Tset_strpad(type.get(), padding), "H5Tset_strpad");
    check_hdf5(H5Tset_cset(type.get(), H5T_CSET_UTF8), "H5Tset_cset");
    return type;
}

}  // namespace

Hdf5Handle value_type(const Column& column) {
    const auto copy = [](hid_t type) { return Hdf5Handle(H5Tcopy(type), H5Tclose, "value type"); };
    switch (column.type) {
        case ValueType::int8: return copy(H5T_STD_I8LE);
        case ValueType::int32: return copy(H5T_STD_I32LE);
        case ValueType::int64: return copy(H5T_STD_I64LE);
        case ValueType::uint64: return copy(H5T_STD_U64LE);
        case ValueType::float64: return copy(H5T_IEEE_F64LE);
        case ValueType::text: break;
    }
    return text_type(column.text_size, H5T_STR_NULLPAD);
}

std::size_t value_size(const Column& column) {
    switch (column.type) {
        case ValueType::int8: return 1;
        case ValueType::int32: return 4;
        case ValueType::int64:
        case ValueType::uint64:
        case ValueType::float64: return 8;
        case ValueType::text: break;
    }
    return column.text_size;
}

Hdf5Handle open_group(hid_t parent, const std::string& name) {
    return {H5Gopen2(parent, name.c_str(), H5P_DEFAULT), H5Gclose, "group " + name};
}

Hdf5Handle open_dataset(hid_t parent, const std::string& name) {
    return {H5Dopen2(parent, name.c_str(), H5P_DEFAULT), H5Dclose, "dataset " + name};
}

bool has_link(hid_t parent, const std::string& name) {
    return check_hdf5(H5Lexists(parent, name.c_str(), H5P_DEFAULT), "looking for " + name) > 0;
}

std::vector<std::string> link_names(hid_t parent) {
    std::vector<std::string> names;
    const auto append = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
        static_cast<std::vector<std::string>*>(out)->emplace_back(name);
        return 0;
    };
    hsize_t position = 0;
    check_hdf5(H5Literate(parent, H5_INDEX_NAME, H5_ITER_INC, &position, append, &names), "listing a group");
    return names;
}

std::vector<std::int64_t> dataset_extents(hid_t dataset) {
    Hdf5Handle space(H5Dget_space(dataset), H5Sclose, "dataspace");
    const auto rank = check_hdf5(H5Sget_simple_extent_ndims(space.get()), "dimensions of a dataset");
    std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
    check_hdf5(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), "extents of a dataset");
    return {extents.begin(), extents.end()};
}

std::size_t stored_text_size(hid_t dataset) {
    Hdf5Handle stored(H5Dget_type(dataset), H5Tclose, "type of a dataset");
    if (H5Tget_class(stored.get()) != H5T_STRING || H5Tis_variable_str(stored.get()) != 0) return 0;
    return H5Tget_size(stored.get());
}

bool has_type(hid_t dataset, const Column& column) {
    if (column.type == ValueType::text) return stored_text_size(dataset) == column.text_size;
    Hdf5Handle stored(H5Dget_type(dataset), H5Tclose, "type of " + column.name);
    const auto expected = value_type(column);
    return check_hdf5(H5Tequal(stored.get(), expected.get()), "comparing types") > 0;
}

std::size_t dataset_values(hid_t dataset, const Column& column) {
    hsize_t most = 0;
    Hdf5Handle file(H5Iget_file_id(dataset), H5Fclose, "file of " + column.name);
    check_hdf5(H5Fget_filesize(file.get(), &most), "H5Fget_filesize");
    // A copy to pass on may be compressed: by deflate, which makes at most 1032 bytes of one.
    const Hdf5Handle properties(H5Dget_create_plist(dataset), H5Pclose, "properties of " + column.name);
    if (H5Pget_layout(properties.get()) != H5D_CONTIGUOUS) most = 1032 * std::min<hsize_t>(most, H5Dget_storage_size(dataset));
    most /= value_size(column);
    const auto extents = dataset_extents(dataset);
    const bool empty = std::find(extents.begin(), extents.end(), 0) != extents.end();
    // Without rows nothing is stored, but sizes are computed of the other extents.
    if (empty) most = hsize_t{1} << 40;
    std::size_t count = 1;
    for (const auto extent : extents) {
        if (extent > 0 && count > most / static_cast<hsize_t>(extent)) {
            throw StorageError("dataset " + column.name + " claims more values than the file can hold");
        }
        count *= static_cast<std::size_t>(std::max<std::int64_t>(extent, 1));
    }
    return empty ? 0 : count;
}

std::vector<std::byte> read_dataset(hid_t dataset, const Column& column) {
    const auto count = dataset_values(dataset, column);
    std::vector<std::byte> bytes(count * value_size(column));
    if (count > 0) {
        const auto type = value_type(column);
        check_hdf5(H5Dread(dataset, type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes.data()), "reading " + column.name);
    }
    return bytes;
}

void write_attribute(hid_t object, const std::string& name, const std::string& text) {
    // One byte more than the text: h5netcdf leaves strings of size 1 undecoded, and an empty string needs a size too.
    const auto type = text_type(std::max<std::size_t>(text.size() + 1, 2), H5T_STR_NULLTERM);
    std::string padded = text;
    padded.resize(H5Tget_size(type.get()), '\0');
    Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose, "dataspace");
    Hdf5Handle attribute(H5Acreate2(object, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose,
                         "creating attribute " + name);
    check_hdf5(H5Awrite(attribute.get(), type.get(), padded.data()), "writing attribute " + name);
}

void write_attribute(hid_t object, const std::string& name, std::int64_t value) {
    Hdf5Handle space(H5Screate(H5S_SCALAR), H5Sclose, "dataspace");
    Hdf5Handle attribute(H5Acreate2(object, name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                         H5Aclose, "creating attribute " + name);
    check_hdf5(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value), "writing attribute " + name);
}

std::string read_text_attribute(hid_t object, const std::string& name) {
    Hdf5Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute " + name);
    Hdf5Handle type(H5Aget_type(attribute.get()), H5Tclose, "type of attribute " + name);
    Hdf5Handle space(H5Aget_space(attribute.get()), H5Sclose, "dataspace");
    if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
        H5Sget_simple_extent_npoints(space.get()) != 1) {
        throw StorageError("attribute " + name + " is not one fixed-length text");
    }
    std::string text(H5Tget_size(type.get()), '\0');
    check_hdf5(H5Aread(attribute.get(), type.get(), text.data()), "reading attribute " + name);
    text.resize(std::min(text.find('\0'), text.size()));
    return text;
}

std::int64_t read_integer_attribute(hid_t object, const std::string& name) {
    Hdf5Handle attribute(H5Aopen(object, name.c_str(), H5P_DEFAULT), H5Aclose, "attribute " + name);
    Hdf5Handle type(H5Aget_type(attribute.get()), H5Tclose, "type of attribute " + name);
    Hdf5Handle space(H5Aget_space(attribute.get()), H5Sclose, "dataspace");
    if (H5Tget_class(type.get()) != H5T_INTEGER || H5Sget_simple_extent_npoints(space.get()) != 1) {
        throw StorageError("attribute " + name + " is not one integer");
    }
    std::int64_t value = 0;
    check_hdf5(H5Aread(attribute.get(), H5T_NATIVE_INT64, &value), "reading attribute " + name);
    return value;
}

}  // namespace cmsweep
