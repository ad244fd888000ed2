#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

// The words for <output>.d/status.json, which ProgressDisplay writes.
namespace cmsweep {

/// "12/340 results, 3.1/s, about 2 min left".
std::string progress_text(const nlohmann::json& snapshot);

/// What `cmsweep status` says of the last run: its state, its progress and what each rank does. `status` is the file's text,
/// `now` in UNIX seconds. Throws InputError if it is no status file; `name` goes into the message.
std::string run_status_text(std::string_view status, const std::string& name, double now);

}  // namespace cmsweep
