#include "grams.hpp"

#include "cmsweep/base/id.hpp"

namespace cmsweep {

std::uint64_t hash_word(std::string_view word) { return hash_text(word).low; }

}  // namespace cmsweep
