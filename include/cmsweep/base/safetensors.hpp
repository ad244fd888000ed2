#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "cmsweep/base/files.hpp"

namespace cmsweep {

/// One tensor inside a safetensors file. Row-major.
struct TensorEntry {
    std::string name;
    std::string dtype;  ///< as in the file: "F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL", …
    std::vector<std::int64_t> shape;
    std::uint64_t offset = 0;  ///< of the first byte, from the start of the file
    std::uint64_t size = 0;    ///< bytes

    std::int64_t elements() const;
};

/// A safetensors file (https://github.com/huggingface/safetensors#format), mapped. The header is checked before
/// anything is trusted: its length against the file's, every range inside the data, no overlap, shape x dtype = size.
class SafetensorsFile {
public:
    /// Throws InputError: path, what is wrong, what was expected.
    explicit SafetensorsFile(const std::filesystem::path& path);
    /// One that is mapped already; `path` goes into messages.
    SafetensorsFile(MappedFile file, std::filesystem::path path);

    const std::filesystem::path& path() const { return path_; }
    /// Sorted by name.
    const std::vector<TensorEntry>& tensors() const { return tensors_; }
    const TensorEntry* find(std::string_view name) const;
    const std::map<std::string, std::string>& metadata() const { return metadata_; }
    std::span<const std::byte> bytes(const TensorEntry& entry) const;
    /// The tensor's values as float32; F32, F16, BF16 and F64 are converted. Throws InputError for another dtype.
    void read_float32(const TensorEntry& entry, std::span<float> out) const;

private:
    std::filesystem::path path_;
    MappedFile file_;
    std::vector<TensorEntry> tensors_;
    std::map<std::string, std::string> metadata_;
};

/// Writes a file whose values come piece by piece. Atomically (AtomicFile), tensors in the order given, data aligned to 8 bytes.
class SafetensorsWriter {
public:
    /// Names, dtypes and shapes of `tensors` count. Writes the header. Throws std::invalid_argument for what no file can hold.
    SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> tensors,
                      const std::map<std::string, std::string>& metadata = {});
    /// The next values of a tensor, by its place in the order. Throws std::logic_error if they are more than its shape has.
    void append(std::size_t tensor, std::span<const std::byte> values);
    /// The file appears. Throws std::logic_error if values of some tensor are missing.
    void commit();
    /// Instead of commit(), with the same checks: the tensors as a mapped file without a name, which is gone with its mapping.
    SafetensorsFile unnamed();

private:
    void check_whole() const;

    AtomicFile file_;
    std::vector<TensorEntry> tensors_;  ///< what is missing: `size` bytes, the first of them at `offset`
};

/// A tensor to write: `values` is not owned.
struct TensorToWrite {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> values;
};

/// The same with all values at once.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// The parser alone, for fuzzing: the entries of a file whose bytes are `file`. Throws InputError; `name` goes into messages.
std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> file, const std::string& name,
                                           std::map<std::string, std::string>& metadata);

}  // namespace cmsweep
