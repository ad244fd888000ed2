#pragma once

#include <cstdint>
#include <vector>

#include "documents.hpp"

namespace cmsweep {

/// A gram that more documents than this contain is boilerplate (a licence header, a template): it says nothing about
/// who copied whom, and would chain a whole corpus into one group.
inline constexpr std::size_t kBoilerplate = 64;

/// For each document the smallest index in its group. Two documents belong together if over half of the distinct
/// 13-word-grams of the one that has fewer occur in the other too (boilerplate never counts as shared), and so on
/// transitively. Exact while the documents have at most 2^25 grams together (some 200 MB of text); beyond that only
/// grams whose hash is a multiple of 2, 4, … are compared, so that memory stays under 1 GiB.
std::vector<std::uint32_t> near_duplicate_groups(const std::vector<Document>& documents);

}  // namespace cmsweep
