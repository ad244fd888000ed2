#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/plan/config.hpp"
#include "toml_reader.hpp"

// Tables whose keys are the parameters of a registry row: [[grid.method]], and the inline tables of similarity.metrics.
namespace cmsweep {

/// A [[grid.method]] table as read: the row and every combination of its axes, the first parameter of the row varying
/// slowest; two that differ only in text that is not read are equal. No settings if there was a problem (reported) or if the
/// row is one of those that always run.
struct MethodTable {
    const MethodInfo* method = nullptr;
    MethodConfig config;
    std::optional<Place> train_on;  ///< where it is written, if it is
    std::uint32_t line = 0;
    std::string path;
};

/// `settings_left`: how many settings may still be made; reduced by those of this table.
MethodTable read_method(TableReader& table, const std::vector<std::string>& corpora, double& settings_left);

/// A metric's name, or a table { name = …, parameters } with every combination of its arrays, as for methods. Empty if
/// there was a problem (reported).
std::vector<MetricConfig> read_metric(const Place& place, Problems& problems);

}  // namespace cmsweep
