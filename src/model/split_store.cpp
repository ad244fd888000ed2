#include "split_store.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

static_assert(std::endian::native == std::endian::little, "splits are stored as they lie in memory");

/// The file: this header, document starts (uint64), tokens (uint16 if all fit, else uint32). Little-endian.
struct Header {
    std::array<char, 8> magic{'c', 'm', 's', 't', 'o', 'k', ' ', '1'};
    std::uint32_t width = 2;
    std::uint32_t reserved = 0;
    std::uint64_t tokens = 0;
    std::uint64_t documents = 0;
    Id digest;
};
static_assert(sizeof(Header) == 48 && std::is_trivially_copyable_v<Header>);

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
    return std::as_bytes(std::span(values));
}

std::filesystem::path path_of(const std::filesystem::path& folder, const Id& digest) {
    return folder / (digest.hex() + ".tokens");
}

}  // namespace

Id digest_of(const TokenSplit& split) {
    const std::array<std::uint64_t, 2> counts{split.tokens.size(), split.document_starts.size()};
    Hasher hasher;
    hasher.add(std::as_bytes(std::span(counts)));
    hasher.add(bytes_of(split.tokens));
    hasher.add(bytes_of(split.document_starts));
    return hasher.digest();
}

void write_split(const std::filesystem::path& folder, const TokenSplit& split) {
    Header header;
    const auto largest = std::max_element(split.tokens.begin(), split.tokens.end());
    header.width = largest != split.tokens.end() && *largest > 0xFFFF ? 4 : 2;
    header.tokens = split.tokens.size();
    header.documents = split.document_starts.size();
    header.digest = split.digest;

    const auto path = path_of(folder, split.digest);
    const std::uint64_t size = sizeof header + 8 * header.documents + header.width * header.tokens;
    std::error_code missing;
    if (std::filesystem::file_size(path, missing) == size && !missing) return;

    write_atomically(path, [&](int file) {
        write_fully(file, std::as_bytes(std::span(&header, 1)), path);
        write_fully(file, bytes_of(split.document_starts), path);
        if (header.width == 4) {
            write_fully(file, bytes_of(split.tokens), path);
            return;
        }
        constexpr std::size_t kChunk = 1 << 16;
        std::vector<std::uint16_t> chunk;
        for (std::size_t at = 0; at < split.tokens.size(); at += chunk.size()) {
            chunk.resize(std::min(kChunk, split.tokens.size() - at));
            for (std::size_t i = 0; i < chunk.size(); ++i) chunk[i] = static_cast<std::uint16_t>(split.tokens[at + i]);
            write_fully(file, bytes_of(chunk), path);
        }
    });
}

StoredSplit::StoredSplit(const std::filesystem::path& folder, const Id& digest)
    : file_(path_of(folder, digest)), digest_(digest) {
    const auto path = path_of(folder, digest).string();
    const auto bytes = file_.bytes();
    const auto check = [&](bool good, const std::string& what) {
        if (!good) throw InputError(path + ": damaged: " + what + "; delete the file, it will be written anew");
    };
    Header header;
    check(bytes.size() >= sizeof header, "has " + std::to_string(bytes.size()) + " bytes, less than its header");
    std::memcpy(&header, bytes.data(), sizeof header);
    check(header.magic == Header{}.magic, "does not start with \"cmstok 1\"");
    check(header.width == 2 || header.width == 4, "claims " + std::to_string(header.width) + " bytes a token");
    check(header.digest == digest, "holds the split " + header.digest.hex());
    // Bounds first, so that the products below cannot overflow.
    const std::uint64_t rest = bytes.size() - sizeof header;
    check(header.documents <= rest / 8 && header.tokens <= rest / header.width &&
              8 * header.documents + header.width * header.tokens == rest,
          "its size does not match its header");
    document_starts_ = {reinterpret_cast<const std::uint64_t*>(bytes.data() + sizeof header), header.documents};
    tokens_ = bytes.subspan(sizeof header + 8 * header.documents);
    size_ = header.tokens;
    width_ = static_cast<int>(header.width);
    bool increasing = size_ == 0 ? header.documents == 0 : header.documents > 0 && document_starts_.front() == 0;
    for (std::size_t i = 1; i < document_starts_.size(); ++i)
        increasing &= document_starts_[i - 1] < document_starts_[i];
    check(increasing && (size_ == 0 || document_starts_.back() < size_), "its document starts are not increasing");
}

TokenSplit read_split(const std::filesystem::path& folder, const Id& digest) {
    const StoredSplit stored(folder, digest);
    TokenSplit split;
    split.digest = digest;
    split.document_starts.assign(stored.document_starts().begin(), stored.document_starts().end());
    split.tokens.reserve(stored.size());
    std::vector<std::int64_t> chunk;
    for (std::uint64_t at = 0; at < stored.size(); at += chunk.size()) {
        chunk.resize(std::min<std::uint64_t>(std::uint64_t{1} << 16, stored.size() - at));
        stored.copy(at, chunk);
        for (const auto token : chunk) split.tokens.push_back(static_cast<std::uint32_t>(token));
    }
    if (digest_of(split) != digest) throw InputError(path_of(folder, digest).string() + ": damaged: its tokens are not those of its digest");
    return split;
}

std::uint32_t StoredSplit::token(std::uint64_t index) const {
    std::int64_t value = 0;
    copy(index, {&value, 1});
    return static_cast<std::uint32_t>(value);
}

void StoredSplit::copy(std::uint64_t start, std::span<std::int64_t> out) const {
    if (start > size_ || out.size() > size_ - start) {
        throw std::out_of_range("tokens " + std::to_string(start) + " to " + std::to_string(start + out.size()) +
                                " of split " + digest_.hex() + ", which has " + std::to_string(size_));
    }
    const auto copy_as = [&]<class Token>(Token token) {
        const std::byte* from = tokens_.data() + start * sizeof token;
        for (std::int64_t& value : out) {
            std::memcpy(&token, from, sizeof token);
            from += sizeof token;
            value = token;
        }
    };
    if (width_ == 2) {
        copy_as(std::uint16_t{});
    } else {
        copy_as(std::uint32_t{});
    }
}

std::uint64_t StoredSplit::document_at(std::uint64_t index) const {
    if (index >= size_) {
        throw std::out_of_range("token " + std::to_string(index) + " of split " + digest_.hex() + ", which has " +
                                std::to_string(size_));
    }
    const auto after = std::upper_bound(document_starts_.begin(), document_starts_.end(), index);
    return static_cast<std::uint64_t>(after - document_starts_.begin()) - 1;
}

}  // namespace cmsweep
