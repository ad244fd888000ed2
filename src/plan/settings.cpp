#include "settings.hpp"

#include <algorithm>
#include <set>

#include "cmsweep/base/id.hpp"
#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {
namespace {

template <typename Row>
std::vector<std::string> names_of(std::span<const Row> rows) {
    std::vector<std::string> names;
    for (const auto& row : rows) names.push_back(row.name);
    return names;
}

/// One parameter and the values it takes.
struct Axis {
    std::string name;
    std::vector<nlohmann::json> values;
};

/// The values of an array, or the one value. A list parameter needs a list of lists to be an axis.
std::vector<Place> axis_items(const ParameterSpec& spec, const Place& place, Problems& problems) {
    const auto* array = place.node->as_array();
    const bool is_value =
        spec.kind == ParameterSpec::Kind::real_list && !(array != nullptr && !array->empty() && (*array)[0].is_array());
    if (is_value) return {place};
    return read_one_or_list(place, problems, "at least one value, " + spec.range());
}

std::optional<std::string> parameter_problem(const ParameterSpec& spec, const nlohmann::json& value,
                                             const std::vector<std::string>& corpora) {
    const auto problem = spec.problem(value);
    if (!problem || spec.name != "train_on") return problem;
    if (value.is_string() && std::find(corpora.begin(), corpora.end(), value.get<std::string>()) != corpora.end())
        return std::nullopt;
    return *problem + " or a corpus' name" + (value.is_string() ? suggestion(value.get<std::string>(), corpora) : "");
}

std::optional<Axis> read_axis(TableReader& table, const ParameterSpec& spec, const std::vector<std::string>& corpora,
                              bool& sound) {
    const auto place = table.find(spec.name);
    if (!place) return std::nullopt;
    Axis axis{spec.name, {}};
    std::set<std::string> seen;
    const auto items = axis_items(spec, *place, table.problems());
    if (items.empty()) sound = false;
    for (const auto& item : items) {
        auto value = to_json_value(*item.node);
        if (const auto problem = parameter_problem(spec, value, corpora)) {
            table.problems().add(item, *problem);
            sound = false;
        } else if (!seen.insert(canonical_json(value)).second) {
            table.problems().add(item, "listed twice");
            sound = false;
        } else {
            axis.values.push_back(std::move(value));
        }
    }
    return axis;
}

std::vector<nlohmann::json> multiply_out(const std::vector<ParameterSpec>& parameters, const std::vector<Axis>& axes) {
    std::vector<nlohmann::json> combinations{nlohmann::json::object()};
    for (const auto& axis : axes) {
        std::vector<nlohmann::json> longer;
        longer.reserve(combinations.size() * axis.values.size());
        for (const auto& combination : combinations) {
            for (const auto& value : axis.values) {
                longer.push_back(combination);
                longer.back()[axis.name] = value;
            }
        }
        combinations = std::move(longer);
    }
    for (auto& combination : combinations) combination = complete_setting(parameters, combination);
    return combinations;
}

/// Where a method reads no text, what says which text and how much changes nothing: the defaults, so that it changes no id either.
void settle_text(const MethodInfo& method, nlohmann::json& setting) {
    if (!method.no_text || !method.no_text(setting)) return;
    for (const auto& name : method.text_parameters) setting.erase(name);
    setting = complete_setting(method.parameters, setting);
}

}  // namespace

MethodTable read_method(TableReader& table, const std::vector<std::string>& corpora, double& settings_left) {
    MethodTable read;
    read.line = table.line();
    read.path = table.path();
    read.config.where = table.where();
    const auto place = table.find("name");
    if (!place) {
        table.missing("name", "a method's name; `cmsweep methods` lists them");
        table.finish(true);
        return read;
    }
    const auto name = read_text(*place, table.problems(), "a method's name in quotes");
    if (!name) return read;
    read.method = find_method(*name);
    if (read.method == nullptr) {
        table.problems().add(
            *place, "unknown method" + suggestion(*name, names_of(merge_methods())) + "; `cmsweep methods` lists them");
        return read;
    }
    read.config.name = *name;
    bool sound = true;
    std::vector<Axis> axes;
    double count = 1;
    for (const auto& spec : read.method->parameters) {
        auto axis = read_axis(table, spec, corpora, sound);
        if (!axis) continue;
        if (spec.name == "train_on") read.train_on = table.find(spec.name);
        count *= static_cast<double>(axis->values.size());
        axes.push_back(std::move(*axis));
    }
    table.finish();
    // Specialists and base run in every sweep: naming them asks for nothing new.
    const bool always_run = *name == "specialist" || *name == "base";
    if (!sound || always_run) return read;
    if (count > settings_left) {
        table.problem("its arrays multiply to " + canonical_json(count) + " settings, of which " +
                      canonical_json(settings_left) + " are left of the 100000 that a grid may have: shorten them");
        return read;
    }
    settings_left -= count;
    read.config.settings = multiply_out(read.method->parameters, axes);
    for (auto& setting : read.config.settings) settle_text(*read.method, setting);
    return read;
}

std::vector<MetricConfig> read_metric(const Place& place, Problems& problems) {
    static const toml::table kNoParameters;
    const auto* node = place.node->as_table();
    TableReader table(node != nullptr ? *node : kNoParameters, place.path, problems, place.line);
    const auto name_place = node != nullptr ? table.find("name") : std::optional<Place>(place);
    if (!name_place) {
        table.missing("name", "a metric's name; `cmsweep metrics` lists them");
        table.finish(true);
        return {};
    }
    const auto name = read_text(*name_place, problems, "a metric's name, or { name = …, and its parameters }");
    if (!name) return {};
    const MetricInfo* metric = find_metric(*name);
    if (metric == nullptr) {
        problems.add(*name_place, "unknown metric" + suggestion(*name, names_of(similarity_metrics())) +
                                      "; `cmsweep metrics` lists them");
        return {};
    }
    bool sound = true;
    std::vector<Axis> axes;
    for (const auto& spec : metric->parameters) {
        if (auto axis = read_axis(table, spec, {}, sound)) axes.push_back(std::move(*axis));
    }
    table.finish();
    std::vector<MetricConfig> read;
    if (!sound) return read;
    for (auto& setting : multiply_out(metric->parameters, axes)) read.push_back({*name, std::move(setting)});
    return read;
}

}  // namespace cmsweep
