#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace cmsweep {

/// 128-bit content hash (XXH3-128) that names a result, a model, a corpus split. All zero means "none".
struct Id {
    std::uint64_t high = 0;
    std::uint64_t low = 0;

    auto operator<=>(const Id&) const = default;
    explicit operator bool() const { return high != 0 || low != 0; }

    /// 32 lower-case hex digits.
    std::string hex() const;
    /// Inverse of hex(). Throws InputError unless `text` is exactly 32 hex digits.
    static Id parse(std::string_view text);
};

Id hash_bytes(std::span<const std::byte> bytes);
Id hash_text(std::string_view text);

/// Hash of the canonical form: keys sorted, no white space, shortest round-trip numbers. An integral double is
/// written as an integer, so that 1 and 1.0 in a config are one setting.
Id hash_json(const nlohmann::json& value);
std::string canonical_json(const nlohmann::json& value);

/// Streaming XXH3-128; the digest equals hash_bytes of everything that was added, in order.
class Hasher {
public:
    Hasher();
    ~Hasher();
    Hasher(Hasher&&) noexcept;
    Hasher& operator=(Hasher&&) noexcept;
    void add(std::span<const std::byte> bytes);
    void add(std::string_view text);
    Id digest() const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// CRC-32 (zlib's polynomial) of `bytes`, continued from `start`.
std::uint32_t crc32(std::span<const std::byte> bytes, std::uint32_t start = 0);

void to_json(nlohmann::json& json, const Id& id);
void from_json(const nlohmann::json& json, Id& id);

}  // namespace cmsweep

template <>
struct std::hash<cmsweep::Id> {
    std::size_t operator()(const cmsweep::Id& id) const noexcept { return id.low; }
};
