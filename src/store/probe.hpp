#pragma once

#include <filesystem>

namespace cmsweep {

/// Reads everything that HDF5 keeps about a store in a child process first. HDF5 trusts what a file says of itself: a damaged or
/// hostile one may crash it, or keep it busy for ever, and would take a sweep or a notebook's command with it.
/// [independent] Throws InputError if the child dies. Files that are merely wrong pass: whoever reads them says it better.
void probe_store(const std::filesystem::path& path);

}  // namespace cmsweep
