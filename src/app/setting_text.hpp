#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "results.hpp"

namespace cmsweep {

/// Says of a setting what tells it from the other settings of its method in the same store: "alpha 0.5".
class SettingText {
public:
    explicit SettingText(const std::vector<ExperimentRow>& rows);
    /// Empty where the method has one setting only. `canonical`: the setting's JSON.
    std::string operator()(const std::string& method, const std::string& canonical) const;

private:
    std::map<std::string, std::map<std::string, std::set<std::string>>> values_;  ///< by method and parameter
};

}  // namespace cmsweep
