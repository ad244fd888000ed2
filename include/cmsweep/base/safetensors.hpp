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

/// A tensor to write: `values` is not owned.
struct TensorToWrite {
    std::string name;
    std::string dtype;
    std::vector<std::int64_t> shape;
    std::span<const std::byte> values;
};

/// Writes atomically (write_atomically), tensors in the order given, data aligned to 8 bytes.
void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// The parser alone, for fuzzing: the entries of a file whose bytes are `file`. Throws InputError; `name` goes into messages.
std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> file, const std::string& name,
                                           std::map<std::string, std::string>& metadata);

}  // namespace cmsweep
