#include "cmsweep/sched/message.hpp"

#include <cstdint>
#include <string>

#include "cmsweep/base/error.hpp"

namespace cmsweep {

// One byte for the kind, then the body as CBOR (RFC 8949): exact doubles, no quoting.
std::vector<std::byte> serialise(const Message& message) {
    std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(message.kind)};
    nlohmann::json::to_cbor(message.body, bytes);
    const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
    return {begin, begin + bytes.size()};
}

Message parse_message(std::span<const std::byte> bytes, int from) {
    if (bytes.empty()) throw InputError("message from rank " + std::to_string(from) + " is empty");
    const auto kind = std::to_integer<std::uint8_t>(bytes[0]);
    if (kind > static_cast<std::uint8_t>(Message::Kind::finish)) {
        throw InputError("message from rank " + std::to_string(from) + " has kind " + std::to_string(kind) +
                         ", expected 0 to " + std::to_string(static_cast<int>(Message::Kind::finish)));
    }
    Message message;
    message.kind = static_cast<Message::Kind>(kind);
    message.from = from;
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    try {
        message.body = nlohmann::json::from_cbor(data + 1, data + bytes.size());
    } catch (const nlohmann::json::exception& error) {
        throw InputError("message from rank " + std::to_string(from) + " is damaged: " + error.what());
    }
    return message;
}

}  // namespace cmsweep
