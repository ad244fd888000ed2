#pragma once

#include <string>
#include <string_view>

namespace cmsweep {

/// Length of the well-formed UTF-8 sequence at the start of `text`: 1 to 4. If there is none: minus the number of bytes
/// of the maximal subpart of an ill-formed sequence (Unicode 15, section 3.9, table 3-7 and "U+FFFD substitution of
/// maximal subparts"), -1 to -3. `text` is not empty.
int utf8_sequence(std::string_view text);

/// `text` with each maximal ill-formed subpart replaced by U+FFFD, as Python's bytes.decode("utf-8", errors="replace")
/// does.
std::string replace_invalid_utf8(std::string_view text);

/// True if replace_invalid_utf8(text) == text.
bool is_valid_utf8(std::string_view text);

/// Appends the UTF-8 form of a code point below U+110000 that is no surrogate.
void append_utf8(std::string& text, char32_t code_point);

}  // namespace cmsweep
