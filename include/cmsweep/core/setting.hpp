#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace cmsweep {

/// One parameter of a merge method or a similarity metric, as the config names it.
struct ParameterSpec {
    enum class Kind { real, integer, boolean, choice, real_list };
    std::string name;
    Kind kind = Kind::real;
    double low = 0;                  ///< smallest value (real, integer, each of a real_list)
    double high = 1;                 ///< largest value; infinity where open-ended
    bool low_open = false;           ///< `low` itself is not allowed
    bool high_open = false;
    std::vector<std::string> words;  ///< choice: the allowed words; real, integer: words allowed besides numbers ("all")
    nlohmann::json default_value;    ///< null: no default; the method computes one or the key is required, as the summary says
    std::string summary;

    /// "a number in (0, 1]", "an integer >= 1 or \"all\"": what error messages and `cmsweep methods` print.
    std::string range() const;
    /// The problem with `value`, or nothing if it is allowed.
    std::optional<std::string> problem(const nlohmann::json& value) const;
};

/// Every parameter of `specs` with its value from `given` or its default, keys sorted: the canonical setting.
/// Numbers of real parameters become doubles. Precondition: `given` has passed problem() for every key.
nlohmann::json complete_setting(std::span<const ParameterSpec> specs, const nlohmann::json& given);

/// The name in `known` nearest to `name` (edit distance at most a third of its length), if any: "did you mean …".
std::optional<std::string> nearest_name(std::string_view name, std::span<const std::string> known);

}  // namespace cmsweep
