#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <hdf5.h>

#include "cmsweep/plan/tables.hpp"

// The only place that checks HDF5 return codes. Serial and parallel files, datasets and attributes as values.
namespace cmsweep {

/// Throws StorageError with `what` and HDF5's own words if `code` is negative, else returns it.
std::int64_t check_hdf5(std::int64_t code, const std::string& what);

/// An open HDF5 object. close() is the checked way to end it; the destructor neither throws nor communicates, so a
/// parallel file that was not closed stays open until the process ends.
class Hdf5Handle {
public:
    using Closer = herr_t (*)(hid_t);
    Hdf5Handle() = default;
    Hdf5Handle(hid_t id, Closer closer, std::string what);
    Hdf5Handle(Hdf5Handle&& other) noexcept;
    Hdf5Handle& operator=(Hdf5Handle&& other) noexcept;
    ~Hdf5Handle();

    hid_t get() const { return id_; }
    explicit operator bool() const { return id_ >= 0; }
    void close();
    /// Forgets the object without closing it (parallel files while an exception unwinds).
    void release() { id_ = -1; }

private:
    hid_t id_ = -1;
    Closer closer_ = nullptr;
    std::string what_;
};

/// Silences HDF5's own printing and checks that the library is the parallel one, of the version that cmsweep was built with.
/// Throws InputError otherwise. Called by everything that opens a file.
void initialise_hdf5();

Hdf5Handle create_serial(const std::filesystem::path& path);
Hdf5Handle open_serial(const std::filesystem::path& path, bool write);
/// [collective]
Hdf5Handle open_parallel(const std::filesystem::path& path, MPI_Comm communicator);
/// Transfer properties: collective or default.
Hdf5Handle make_transfer(bool collective);

/// The type of a column's values, in the file and in memory alike: a conversion would make collective writes independent.
Hdf5Handle value_type(const Column& column);
std::size_t value_size(const Column& column);

Hdf5Handle open_group(hid_t parent, const std::string& name);
Hdf5Handle open_dataset(hid_t parent, const std::string& name);
bool has_link(hid_t parent, const std::string& name);
std::vector<std::string> link_names(hid_t parent);  ///< sorted
std::vector<std::int64_t> dataset_extents(hid_t dataset);
std::size_t stored_text_size(hid_t dataset);  ///< bytes of its fixed-length texts; 0: another type
bool has_type(hid_t dataset, const Column& column);
/// How many values of the column's type it has. A hostile header may claim any extents: throws StorageError if they are more than
/// the file holds, so that no more is ever allocated.
std::size_t dataset_values(hid_t dataset, const Column& column);
std::vector<std::byte> read_dataset(hid_t dataset, const Column& column);

void write_attribute(hid_t object, const std::string& name, const std::string& text);
void write_attribute(hid_t object, const std::string& name, std::int64_t value);
/// Throw StorageError if the attribute is missing or of another type.
std::string read_text_attribute(hid_t object, const std::string& name);
std::int64_t read_integer_attribute(hid_t object, const std::string& name);

}  // namespace cmsweep
