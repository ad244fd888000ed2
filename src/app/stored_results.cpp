#include "stored_results.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/id.hpp"

namespace cmsweep {

std::set<ResultKey> finished_results(const StoredState& state, int retries) {
    std::set<ResultKey> finished;
    for (const auto& [key, entry] : state.results) {
        const bool again = entry.status == RowStatus::pending ||
                           (entry.status == RowStatus::failed && entry.retryable && entry.attempt <= retries);
        if (!again) finished.insert(key);
    }
    return finished;
}

void check_store_name(const StoredState& state, const Config& config, const std::filesystem::path& store) {
    if (state.name.empty() || state.name == config.name) return;
    throw InputError(config.file.string() + ": sweep.name = \"" + config.name + "\": " + store.string() + " holds the sweep \"" + state.name +
                     "\": use another sweep.output, or that name");
}

std::map<TaskKind, double> recorded_seconds_per_work(const Plan& plan, const std::filesystem::path& store, const std::set<ResultKey>& done) {
    std::map<TaskKind, double> rates;
    if (done.empty() || !std::filesystem::exists(store)) return rates;
    const StoreReader reader(store);
    std::map<std::string, double> recorded;
    for (const char* table : {"experiments", "training", "similarity"}) {
        const auto ids = reader.texts(table, "id");
        const auto values = reader.numbers(table, "seconds").values;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            if (std::isfinite(values[i])) recorded[table + ids[i]] = values[i];
        }
    }
    std::map<TaskKind, std::pair<double, double>> seconds_and_work;
    for (const auto& task : plan.tasks) {
        const bool whole = !task.results.empty() && std::all_of(task.results.begin(), task.results.end(), [&](const ResultKey& key) { return done.count(key) > 0; });
        if (!whole) continue;
        auto& [seconds, work] = seconds_and_work[task.kind];
        work += task.work;
        for (const auto& key : task.results) {
            const auto found = recorded.find(key.table + key.id.hex());
            if (found != recorded.end()) seconds += found->second;
        }
    }
    for (const auto& [kind, sums] : seconds_and_work) {
        if (sums.first > 0 && sums.second > 0) rates[kind] = sums.first / sums.second;
    }
    return rates;
}

namespace {

/// The labels of an experiment as text, independent of codes.
using Labels = std::vector<std::string>;

}  // namespace

std::size_t replaced_rows(const Plan& plan, const StoreReader& reader) {
    const Axes stored_axes = reader.axes();
    const std::string table = "experiments";
    const auto ids = reader.texts(table, "id");
    const auto status = reader.numbers(table, "status").values;
    static const char* kCoded[] = {"pair", "setting", "target", "layer"};
    const auto labels_of = [](const Axes& axes, std::size_t row, std::size_t width, const auto& value) {
        Labels labels;
        for (const char* column : kCoded) {
            const auto& names = axes.names.at(column);
            const auto code = static_cast<std::size_t>(value(column, row));
            labels.push_back(code < names.size() ? names[code] : "");
        }
        labels.push_back(std::to_string(static_cast<long long>(value("seed", row))));
        for (std::size_t m = 0; m < width; ++m) {
            const double degree = value("degree", row * width + m);
            if (degree >= 0) labels.push_back(std::to_string(static_cast<long long>(degree)));
        }
        return labels;
    };
    std::map<std::string, std::vector<double>> stored_columns;
    for (const char* column : {"pair", "setting", "target", "layer", "seed", "degree"}) stored_columns[column] = reader.numbers(table, column).values;
    const std::size_t stored_width = ids.empty() ? 0 : stored_columns["degree"].size() / ids.size();
    std::map<Labels, std::set<std::string>> stored;
    for (std::size_t row = 0; row < ids.size(); ++row) {
        if (status[row] == 0) continue;
        stored[labels_of(stored_axes, row, stored_width, [&](const std::string& column, std::size_t i) { return stored_columns.at(column)[i]; })].insert(ids[row]);
    }
    const TableRows& planned = plan.table(table);
    const std::size_t width = planned.rows() == 0 ? 0 : planned.labels.at("degree").size() / planned.rows();
    std::size_t replaced = 0;
    for (std::size_t row = 0; row < planned.rows(); ++row) {
        const auto found = stored.find(labels_of(plan.axes, row, width, [&](const std::string& column, std::size_t i) { return planned.labels.at(column)[i]; }));
        if (found != stored.end() && !found->second.count(planned.ids[row].hex())) ++replaced;
    }
    return replaced;
}

}  // namespace cmsweep
