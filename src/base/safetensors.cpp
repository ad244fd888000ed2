#include "cmsweep/base/safetensors.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "json_text.hpp"

// Format: https://github.com/huggingface/safetensors#format. A 64-bit length, a JSON header of that length, the data.

namespace cmsweep {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read in place");

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMostHeaderBytes = 100'000'000;  // the reference implementation's limit
constexpr std::size_t kMostDimensions = 16;
constexpr std::size_t kMostProblems = 20;

struct DtypeSize {
    std::string_view name;
    std::uint64_t bytes;
};
constexpr std::array<DtypeSize, 17> kDtypes = {{{"BOOL", 1},
                                                {"U8", 1},
                                                {"I8", 1},
                                                {"F8_E5M2", 1},
                                                {"F8_E4M3", 1},
                                                {"F8_E8M0", 1},
                                                {"I16", 2},
                                                {"U16", 2},
                                                {"F16", 2},
                                                {"BF16", 2},
                                                {"I32", 4},
                                                {"U32", 4},
                                                {"F32", 4},
                                                {"I64", 8},
                                                {"U64", 8},
                                                {"F64", 8},
                                                {"C64", 8}}};

/// Bytes of one value; 0 for a dtype that is not known.
std::uint64_t dtype_bytes(std::string_view dtype) {
    const auto found = std::find_if(kDtypes.begin(), kDtypes.end(), [&](const auto& d) { return d.name == dtype; });
    return found == kDtypes.end() ? 0 : found->bytes;
}

/// shape x dtype in bytes, or nothing if any product on the way leaves 63 bits.
bool shape_bytes(const std::vector<std::int64_t>& shape, std::uint64_t value_bytes, std::uint64_t& bytes) {
    std::int64_t product = 1;
    for (const auto dimension : shape) {
        if (dimension < 0 || __builtin_mul_overflow(product, dimension, &product)) return false;
    }
    return !__builtin_mul_overflow(static_cast<std::uint64_t>(product), value_bytes, &bytes);
}

std::string shape_text(const std::vector<std::int64_t>& shape) { return nlohmann::json(shape).dump(); }

/// Builds entries while the parser reads, without a document in between: a hostile header costs memory in
/// proportion to its own size, and anything that is not {name: {dtype, shape, data_offsets}} or
/// {"__metadata__": {text: text}} ends the reading.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
public:
    HeaderReader(const std::string& file, std::map<std::string, std::string>& metadata)
        : file_(file), metadata_(metadata) {}

    std::vector<TensorEntry> take() { return std::move(entries_); }

    bool start_object(std::size_t) override {
        if (place_ == Place::file) {
            place_ = Place::names;
        } else if (place_ == Place::names && name_ == "__metadata__") {
            place_ = Place::metadata;
        } else if (place_ == Place::names) {
            place_ = Place::fields;
            entries_.emplace_back().name = name_;
            seen_ = {};
            offsets_ = 0;
        } else {
            fail("an object", "");
        }
        return true;
    }

    bool end_object() override {
        if (place_ == Place::fields && !(seen_[0] && seen_[1] && seen_[2])) {
            fail("an incomplete entry", "dtype, shape and data_offsets");
        }
        place_ = place_ == Place::names ? Place::file : Place::names;
        return true;
    }

    bool key(string_t& key) override {
        if (place_ == Place::metadata) {
            if (metadata_.contains(key)) fail("the key " + shown(key) + " twice", "unique keys");
            field_ = key;
        } else if (place_ == Place::names) {
            name_ = key;
            if (!names_.insert(key).second) fail("this name twice", "unique names");
        } else {
            const auto known = std::find(kFields.begin(), kFields.end(), key) - kFields.begin();
            if (known == static_cast<std::ptrdiff_t>(kFields.size())) {
                fail("the field " + shown(key), "dtype, shape and data_offsets");
            }
            if (std::exchange(seen_[known], true)) fail("the field " + shown(key) + " twice", "one");
            field_ = key;
        }
        return true;
    }

    bool start_array(std::size_t) override {
        if (place_ != Place::fields || field_ == "dtype") fail("a list", "");
        place_ = Place::numbers;
        return true;
    }

    bool end_array() override {
        if (field_ == "data_offsets" && offsets_ != 2) fail(std::to_string(offsets_) + " data_offsets", "2");
        place_ = Place::fields;
        return true;
    }

    bool number_unsigned(number_unsigned_t value) override {
        if (place_ != Place::numbers) fail("the number " + std::to_string(value), "");
        auto& entry = entries_.back();
        if (field_ == "shape") {
            if (entry.shape.size() == kMostDimensions) {
                fail("a longer shape", "at most " + std::to_string(kMostDimensions) + " dimensions");
            }
            if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                fail("the dimension " + std::to_string(value), "less than 2^63");
            }
            entry.shape.push_back(static_cast<std::int64_t>(value));
        } else if (offsets_ == 0) {
            offsets_ = 1;
            entry.offset = value;  // from the start of the data; check() makes it one from the start of the file
        } else if (offsets_ == 1) {
            offsets_ = 2;
            if (value < entry.offset) {
                fail("data_offsets from " + std::to_string(entry.offset) + " to " + std::to_string(value),
                     "the end not before the beginning");
            }
            entry.size = value - entry.offset;
        } else {
            fail("more than 2 data_offsets", "2");
        }
        return true;
    }

    bool string(string_t& value) override {
        if (place_ == Place::metadata) {
            metadata_.emplace(field_, value);
        } else if (place_ == Place::fields && field_ == "dtype") {
            entries_.back().dtype = value;
        } else {
            fail("the text " + shown(value), "");
        }
        return true;
    }

    bool null() override { fail("null", ""); }
    bool boolean(bool) override { fail("true or false", ""); }
    bool number_integer(number_integer_t value) override { fail(std::to_string(value), "a number of at least 0"); }
    bool number_float(number_float_t, const string_t& text) override { fail(shown(text), "an integer below 2^64"); }
    bool binary(binary_t&) override { fail("binary data", ""); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
        throw InputError(file_ + ": the header is no valid JSON at its byte " + std::to_string(position) +
                         ": the file is damaged; copy or download it again");
    }

private:
    enum class Place { file, names, metadata, fields, numbers };
    static constexpr std::array<std::string_view, 3> kFields = {"dtype", "shape", "data_offsets"};

    [[noreturn]] void fail(const std::string& found, std::string expected) const {
        if (expected.empty()) {
            constexpr std::array<const char*, 5> kExpected = {
                "an object of tensors", "an object with dtype, shape and data_offsets", "a text",
                "dtype as a text, shape and data_offsets as lists", "a number"};
            expected = kExpected[static_cast<std::size_t>(place_)];
        }
        throw InputError(file_ + ": header" + (name_.empty() ? std::string() : ", tensor " + shown(name_)) +
                         ": found " + found + ", expected " + expected);
    }

    const std::string& file_;
    std::map<std::string, std::string>& metadata_;
    std::vector<TensorEntry> entries_;
    std::set<std::string> names_;
    Place place_ = Place::file;
    std::string name_;
    std::string field_;
    std::array<bool, 3> seen_{};
    int offsets_ = 0;
};

/// Ranges against the data, shapes against ranges; then offsets count from the start of the file.
void check(std::vector<TensorEntry>& entries, std::uint64_t data_start, std::uint64_t data_bytes,
           const std::string& name) {
    std::vector<std::string> problems;
    std::size_t count = 0;
    const auto complain = [&](const TensorEntry& entry, const std::string& what) {
        if (++count <= kMostProblems) problems.push_back(name + ": tensor " + shown(entry.name) + ": " + what);
    };
    std::vector<const TensorEntry*> by_offset;
    bool cut = false;
    for (const auto& entry : entries) {
        const auto value_bytes = dtype_bytes(entry.dtype);
        std::uint64_t expected = 0;
        if (value_bytes == 0) {
            complain(entry, "dtype " + shown(entry.dtype) + ": expected F32, F16, BF16, F64, an integer type or BOOL");
        } else if (!shape_bytes(entry.shape, value_bytes, expected)) {
            complain(entry, "shape " + shape_text(entry.shape) + " has more elements than any file can hold");
        } else if (expected != entry.size) {
            complain(entry, "shape " + shape_text(entry.shape) + " of " + entry.dtype + " takes " +
                                std::to_string(expected) + " bytes, but its data_offsets span " +
                                std::to_string(entry.size));
        }
        // A file that was cut short says so once, not for every tensor behind the cut.
        if (!cut && (entry.offset > data_bytes || entry.size > data_bytes - entry.offset)) {
            cut = true;
            complain(entry, "its data ends at byte " + std::to_string(entry.offset + entry.size) +
                                ", but the file has only " + std::to_string(data_bytes) +
                                " bytes of data: truncated; copy or download it again");
        }
        by_offset.push_back(&entry);
    }
    if (count == 0) {
        std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
            return a->offset != b->offset ? a->offset < b->offset : a->size < b->size;
        });
        std::uint64_t covered = 0;
        for (const auto* entry : by_offset) {
            // The format allows neither overlap nor holes; a hole is how data hides or how a bad writer shows.
            if (entry->offset != covered) {
                complain(*entry, "its data begins at byte " + std::to_string(entry->offset) +
                                     " of the data, expected " + std::to_string(covered) + ": " +
                                     (entry->offset < covered ? "it overlaps another tensor" : "there is a hole"));
                break;
            }
            covered += entry->size;
        }
        if (count == 0 && covered != data_bytes) {
            throw InputError(name + ": the tensors end at byte " + std::to_string(covered) +
                             " of the data, but the file has " + std::to_string(data_bytes) +
                             ": something was appended or the header is of another file");
        }
    }
    if (count > kMostProblems) {
        problems.push_back(name + ": and " + std::to_string(count - kMostProblems) + " more such problems");
    }
    if (!problems.empty()) throw InputError(std::move(problems));
    for (auto& entry : entries) entry.offset += data_start;
}

/// What comes before the data, its length and padding included. Sets sizes, and offsets from the start of the file.
std::string lay_out(std::vector<TensorEntry>& tensors, const std::map<std::string, std::string>& metadata) {
    std::string text = "{";
    std::set<std::string_view> names = {"__metadata__"};
    if (!metadata.empty()) text += "\"__metadata__\":" + nlohmann::json(metadata).dump();
    std::uint64_t offset = 0;
    for (auto& tensor : tensors) {
        const auto value_bytes = dtype_bytes(tensor.dtype);
        if (value_bytes == 0 || !shape_bytes(tensor.shape, value_bytes, tensor.size)) {
            throw std::invalid_argument("safetensors: no file can hold " + tensor.name + " of " + tensor.dtype + " and shape " +
                                        shape_text(tensor.shape));
        }
        if (!names.insert(tensor.name).second) {
            throw std::invalid_argument("safetensors: the name " + tensor.name + " twice");
        }
        if (text.size() > 1) text += ',';
        const nlohmann::json entry = {
            {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {offset, offset + tensor.size}}};
        text += nlohmann::json(tensor.name).dump() + ":" + entry.dump();
        tensor.offset = offset;
        offset += tensor.size;
    }
    text += '}';
    text.append((8 - text.size() % 8) % 8, ' ');
    const std::uint64_t header_bytes = text.size();
    for (auto& tensor : tensors) tensor.offset += kLengthBytes + header_bytes;
    return std::string(reinterpret_cast<const char*>(&header_bytes), kLengthBytes) + text;
}

/// IEEE 754 binary16 to binary32, exact.
float from_half(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000U) << 16;
    const std::uint32_t exponent = (half >> 10) & 0x1f;
    const std::uint32_t mantissa = half & 0x3ff;
    if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
    if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | mantissa << 13);
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24F;  // subnormal or zero
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
}

/// Element by element through memcpy: data may lie at any address.
template <typename Stored, typename Convert>
void convert_values(std::span<const std::byte> bytes, std::span<float> out, Convert convert) {
    for (std::size_t i = 0; i < out.size(); ++i) {
        Stored value;
        std::memcpy(&value, bytes.data() + i * sizeof(Stored), sizeof(Stored));
        out[i] = convert(value);
    }
}

}  // namespace

std::int64_t TensorEntry::elements() const {
    std::int64_t product = 1;
    for (const auto dimension : shape) product *= dimension;
    return product;
}

std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> file, const std::string& name,
                                           std::map<std::string, std::string>& metadata) {
    if (file.size() < kLengthBytes) {
        throw InputError(name + ": " + std::to_string(file.size()) +
                         " bytes: expected a safetensors file, which begins with an 8-byte header length");
    }
    std::uint64_t header_bytes = 0;
    std::memcpy(&header_bytes, file.data(), kLengthBytes);
    const std::uint64_t rest = file.size() - kLengthBytes;
    if (header_bytes > rest) {
        throw InputError(name + ": the header claims " + std::to_string(header_bytes) + " bytes, but only " +
                         std::to_string(rest) + " follow: the file is truncated or no safetensors file");
    }
    if (header_bytes > kMostHeaderBytes) {
        throw InputError(name + ": the header claims " + std::to_string(header_bytes) + " bytes, expected at most " +
                         std::to_string(kMostHeaderBytes));
    }
    const auto* begin = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
    if (header_bytes == 0 || *begin != '{') {
        throw InputError(name + ": the header does not begin with '{': no safetensors file");
    }
    metadata.clear();
    HeaderReader reader(name, metadata);
    nlohmann::json::sax_parse(begin, begin + header_bytes, &reader);
    auto entries = reader.take();
    check(entries, kLengthBytes + header_bytes, rest - header_bytes, name);
    std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return entries;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : SafetensorsFile(MappedFile(path), path) {}

SafetensorsFile::SafetensorsFile(MappedFile file, std::filesystem::path path) : path_(std::move(path)), file_(std::move(file)) {
    tensors_ = parse_safetensors(file_.bytes(), path_.string(), metadata_);
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
    const auto found =
        std::lower_bound(tensors_.begin(), tensors_.end(), name,
                         [](const TensorEntry& entry, std::string_view key) { return entry.name < key; });
    return found != tensors_.end() && found->name == name ? &*found : nullptr;
}

std::span<const std::byte> SafetensorsFile::bytes(const TensorEntry& entry) const {
    const auto all = file_.bytes();
    if (entry.offset > all.size() || entry.size > all.size() - entry.offset) {
        throw std::out_of_range("SafetensorsFile::bytes: entry " + entry.name + " is not of " + path_.string());
    }
    return all.subspan(entry.offset, entry.size);
}

void SafetensorsFile::read_float32(const TensorEntry& entry, std::span<float> out) const {
    if (out.size() != static_cast<std::size_t>(entry.elements())) {
        throw std::invalid_argument("SafetensorsFile::read_float32: " + entry.name + " has " +
                                    std::to_string(entry.elements()) + " values, room for " +
                                    std::to_string(out.size()));
    }
    const auto stored = bytes(entry);
    if (out.empty()) return;
    if (entry.dtype == "F32") {
        std::memcpy(out.data(), stored.data(), stored.size());
    } else if (entry.dtype == "F16") {
        convert_values<std::uint16_t>(stored, out, from_half);
    } else if (entry.dtype == "BF16") {
        convert_values<std::uint16_t>(
            stored, out, [](std::uint16_t half) { return std::bit_cast<float>(std::uint32_t{half} << 16); });
    } else if (entry.dtype == "F64") {
        convert_values<double>(stored, out, [](double value) { return static_cast<float>(value); });
    } else {
        throw InputError(path_.string() + ": tensor " + shown(entry.name) + " has dtype " + shown(entry.dtype) +
                         ": expected F32, F16, BF16 or F64");
    }
}

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<TensorEntry> tensors,
                                     const std::map<std::string, std::string>& metadata)
    : file_(path), tensors_(std::move(tensors)) {
    const std::string header = lay_out(tensors_, metadata);
    file_.write_at(0, std::as_bytes(std::span(header)));
    fault_point("safetensors.body");
}

void SafetensorsWriter::append(std::size_t tensor, std::span<const std::byte> values) {
    TensorEntry& missing = tensors_.at(tensor);
    if (values.size() > missing.size) {
        throw std::logic_error("SafetensorsWriter: " + missing.name + " of " + file_.path().string() + ": " + std::to_string(values.size()) +
                               " more bytes, but its shape " + shape_text(missing.shape) + " has room for " + std::to_string(missing.size));
    }
    file_.write_at(missing.offset, values);
    missing.offset += values.size();
    missing.size -= values.size();
}

void SafetensorsWriter::check_whole() const {
    for (const auto& missing : tensors_) {
        if (missing.size == 0) continue;
        throw std::logic_error("SafetensorsWriter: " + missing.name + " of " + file_.path().string() + ": the last " +
                               std::to_string(missing.size) + " bytes of its shape " + shape_text(missing.shape) + " are missing");
    }
}

void SafetensorsWriter::commit() {
    check_whole();
    file_.commit();
}

SafetensorsFile SafetensorsWriter::unnamed() {
    check_whole();
    return {file_.unnamed(), file_.path()};
}

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
    std::vector<TensorEntry> entries;
    for (const auto& tensor : tensors) entries.push_back({tensor.name, tensor.dtype, tensor.shape});
    SafetensorsWriter writer(path, std::move(entries), metadata);
    for (std::size_t i = 0; i < tensors.size(); ++i) writer.append(i, tensors[i].values);
    writer.commit();
}

}  // namespace cmsweep
