#include "cmsweep/base/id.hpp"

#include <xxhash.h>
#include <zlib.h>

#include <array>
#include <charconv>
#include <cmath>
#include <new>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

Id from_xxh(XXH128_hash_t hash) { return {hash.high64, hash.low64}; }

void append_string(std::string& out, const std::string& text) {
    try {
        out += nlohmann::json(text).dump();
    } catch (const nlohmann::json::exception&) {
        throw InputError("text with bytes that are not UTF-8 cannot be part of a setting: \"" +
                         nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace) +
                         "\"; rename the file or key");
    }
}

template <typename Number>
void append_number(std::string& out, Number value) {
    std::array<char, 32> buffer;
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
    out.append(buffer.data(), end);
}

void append_double(std::string& out, double value) {
    if (!std::isfinite(value)) {
        throw InputError("a setting has the value " + std::to_string(value) + ": expected a finite number");
    }
    // Both limits are exact as doubles, so the casts are defined.
    if (value == std::trunc(value) && value >= -0x1p63 && value < 0x1p63) {
        append_number(out, static_cast<std::int64_t>(value));
    } else if (value == std::trunc(value) && value > 0 && value < 0x1p64) {
        append_number(out, static_cast<std::uint64_t>(value));
    } else {
        append_number(out, value);
    }
}

void append_canonical(std::string& out, const nlohmann::json& value) {
    using Kind = nlohmann::json::value_t;
    switch (value.type()) {
        case Kind::object: {
            char separator = '{';
            for (const auto& [key, item] : value.items()) {  // std::map: sorted by bytes
                out += separator;
                separator = ',';
                append_string(out, key);
                out += ':';
                append_canonical(out, item);
            }
            out += value.empty() ? "{}" : "}";
            break;
        }
        case Kind::array: {
            char separator = '[';
            for (const auto& item : value) {
                out += separator;
                separator = ',';
                append_canonical(out, item);
            }
            out += value.empty() ? "[]" : "]";
            break;
        }
        case Kind::string:
            append_string(out, value.get_ref<const std::string&>());
            break;
        case Kind::boolean:
            out += value.get<bool>() ? "true" : "false";
            break;
        case Kind::number_integer:
            append_number(out, value.get<std::int64_t>());
            break;
        case Kind::number_unsigned:
            append_number(out, value.get<std::uint64_t>());
            break;
        case Kind::number_float:
            append_double(out, value.get<double>());
            break;
        case Kind::null:
            out += "null";
            break;
        case Kind::binary:
        case Kind::discarded:
            throw InputError("a setting is neither null, bool, number, text, list nor table");
    }
}

}  // namespace

std::string Id::hex() const {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string text(32, '0');
    for (int i = 0; i < 16; ++i) {
        text[i] = kDigits[(high >> (60 - 4 * i)) & 15];
        text[16 + i] = kDigits[(low >> (60 - 4 * i)) & 15];
    }
    return text;
}

Id Id::parse(std::string_view text) {
    Id id;
    const auto read_half = [](std::string_view half, std::uint64_t& out) {
        const auto [end, error] = std::from_chars(half.data(), half.data() + half.size(), out, 16);
        return error == std::errc() && end == half.data() + half.size();
    };
    if (text.size() != 32 || !read_half(text.substr(0, 16), id.high) || !read_half(text.substr(16), id.low)) {
        throw InputError("id \"" + std::string(text) + "\": expected 32 hexadecimal digits");
    }
    return id;
}

Id hash_bytes(std::span<const std::byte> bytes) { return from_xxh(XXH3_128bits(bytes.data(), bytes.size())); }

Id hash_text(std::string_view text) { return hash_bytes(std::as_bytes(std::span(text.data(), text.size()))); }

std::string canonical_json(const nlohmann::json& value) {
    std::string out;
    append_canonical(out, value);
    return out;
}

Id hash_json(const nlohmann::json& value) { return hash_text(canonical_json(value)); }

struct Hasher::State {
    State() : xxh(XXH3_createState()) {
        if (xxh == nullptr) throw std::bad_alloc();
        XXH3_128bits_reset(xxh);
    }
    ~State() { XXH3_freeState(xxh); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    XXH3_state_t* xxh;
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(std::span<const std::byte> bytes) {
    // 0.8.1 refuses a null pointer, which an empty span may hold.
    if (!bytes.empty()) XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
}

void Hasher::add(std::string_view text) { add(std::as_bytes(std::span(text.data(), text.size()))); }

Id Hasher::digest() const { return from_xxh(XXH3_128bits_digest(state_->xxh)); }

std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t start) {
    if (bytes.empty()) return start;  // zlib takes a null pointer for "begin anew"
    return static_cast<std::uint32_t>(
        ::crc32_z(start, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

void to_json(nlohmann::json& json, const Id& id) { json = id.hex(); }

void from_json(const nlohmann::json& json, Id& id) {
    if (!json.is_string()) throw InputError("id " + json.dump() + ": expected a text of 32 hexadecimal digits");
    id = Id::parse(json.get_ref<const std::string&>());
}

}  // namespace cmsweep
