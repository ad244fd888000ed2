#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cmsweep/base/id.hpp"

namespace cmsweep {

/// Text that goes to a split as a whole.
struct Document {
    std::string text;
    Id hash;  ///< of text
};

/// The distinct documents of some files, by increasing content hash: the same whatever the files' order and names.
struct DocumentSet {
    std::vector<Document> documents;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> neighbours;  ///< (i, j): j directly follows i in some file
    std::uint64_t duplicates = 0;  ///< documents dropped for being in the set already
};

/// No document is longer; a longer text is cut into pieces.
inline constexpr std::size_t kLargestDocument = 64 * 1024;

/// `text` in pieces of at most kLargestDocument bytes, cut after the last line end that fits, else between characters.
std::vector<std::string_view> cut_pieces(std::string_view text);

/// The texts of one file: the records of a .jsonl file, else all of it. A record's text is its "text" member, else its
/// string members in the order of the file, joined by newlines; a record may also be a bare string. Throws InputError:
/// unreadable file, malformed record.
std::vector<std::string> read_texts(const std::filesystem::path& path);

/// Reads all files, collecting the problems of all of them into one InputError.
DocumentSet read_documents(const std::vector<std::filesystem::path>& files);

}  // namespace cmsweep
