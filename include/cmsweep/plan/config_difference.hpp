#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace cmsweep {

/// Keys whose values differ between two configs, as "finetune.learning_rate: 0.0008 -> 0.0004", sorted by key. Comments
/// and order do not count. Text that is no TOML gives one line saying so.
std::vector<std::string> config_differences(std::string_view before, std::string_view after);

}  // namespace cmsweep
