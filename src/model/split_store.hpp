#pragma once

#include "cmsweep/model/corpus.hpp"

namespace cmsweep {

/// Hash of the counts, of the tokens as uint32 and of the document starts as uint64, all little-endian.
Id digest_of(const TokenSplit& split);

}  // namespace cmsweep
