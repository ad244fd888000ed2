#pragma once

#include <string>
#include <vector>

#include "../store/store_case.hpp"

namespace cmsweep::fuzz {

/// The plan of the stores that are read here: small, so that most of a file is what HDF5 keeps about it.
inline const CaseShape kShape{.degrees = 2};

/// Where stores and journals are read from.
const TemporaryFolder& store_folder();
/// Results for some of the rows.
std::vector<Record> case_records();
/// A store that holds them, committed.
const std::string& valid_store();
void write_file(const std::filesystem::path& path, const std::string& bytes);

}  // namespace cmsweep::fuzz
