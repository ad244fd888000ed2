#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "cmsweep/base/error.hpp"
#include "cmsweep/store/store.hpp"
#include "layout.hpp"
#include "probe.hpp"

namespace cmsweep {
namespace {

/// Ids as they can be printed, since damaged bytes are no text.
std::vector<std::string> printable_ids(const StoredTable& table) {
    auto ids = decode_texts(*table.spec().find("id"), table.read("id"));
    for (auto& id : ids) {
        for (char& letter : id) {
            if (letter < ' ' || letter > '~') letter = '?';
        }
    }
    return ids;
}

/// Names of the row for messages: "experiments, row 12 (id 00…)".
std::string row_name(const StoredTable& table, std::size_t row, const std::string& id) {
    return table.spec().name + ", row " + std::to_string(row) + " (id " + id + ")";
}

/// No two rows of the plan may have the same labels; a table without labels, the same id.
void check_duplicates(const StoredTable& table, const std::vector<std::string>& ids, const std::string& path,
                      std::vector<std::string>& problems) {
    std::vector<std::string> keys(table.rows());
    const auto append = [&](const std::string& column) {
        const auto bytes = table.read(column);
        const auto size = table.row_size(table.column(column));
        for (std::size_t r = 0; r < keys.size(); ++r) {
            keys[r].append(reinterpret_cast<const char*>(bytes.data()) + r * size, size);
        }
    };
    bool labelled = false;
    for (const auto& column : table.spec().columns) {
        if (column.role != Column::Role::label) continue;
        append(column.name);
        labelled = true;
    }
    if (!labelled) append("id");
    const auto in_plan = decode_numbers(*table.spec().find("in_plan"), table.read("in_plan"));
    std::map<std::string, std::size_t> first;
    for (std::size_t r = 0; r < keys.size(); ++r) {
        if (in_plan[r] != 0 && in_plan[r] != 1) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) + ": in_plan = " +
                               std::to_string(static_cast<int>(in_plan[r])) + ", expected 0 or 1");
        }
        if (in_plan[r] != 1) continue;
        const auto [place, added] = first.emplace(keys[r], r);
        if (!added) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) + ": duplicate of row " + std::to_string(place->second) +
                               (labelled ? ": the same labels" : ": the same id") + ", expected each once in the plan");
        }
    }
}

void check_codes(const StoredTable& table, const Axes& axes, const std::string& path, std::vector<std::string>& problems) {
    for (const auto& column : table.spec().columns) {
        if (column.axis.empty()) continue;
        const auto names = axes.names.find(column.axis);
        const auto most = names == axes.names.end() ? 0 : names->second.size();
        const auto codes = decode_numbers(column, table.read(column.name));
        for (std::size_t i = 0; i < codes.size(); ++i) {
            if (codes[i] < -1 || codes[i] >= static_cast<double>(most)) {
                problems.push_back(path + ": " + table.spec().name + '/' + column.name + ", value " + std::to_string(i) +
                                   ": code " + std::to_string(static_cast<std::int64_t>(codes[i])) + ", /axes/" + column.axis +
                                   " has " + std::to_string(most) + " names");
                break;  // one line a column is enough
            }
        }
    }
}

void check_table(const StoredTable& table, const std::string& path, std::vector<std::string>& problems) {
    const auto ids = printable_ids(table);
    const auto states = commit_states(table);
    const auto labels = sound_labels(table);
    const auto words = table.read("commit");
    std::map<std::string, std::pair<std::size_t, std::uint64_t>> results;
    for (std::size_t r = 0; r < table.rows(); ++r) {
        try {
            Id::parse(ids[r]);
        } catch (const InputError& error) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) + ": " + error.what());
        }
        if (!labels[r]) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) + ": the checksum does not fit the labels; the next run mends them");
        }
        if (states[r] == CommitState::broken) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) +
                               ": the checksum does not fit the values; the next run computes this row again");
        }
        if (states[r] != CommitState::valid) continue;
        std::uint64_t word = 0;
        std::memcpy(&word, words.data() + r * sizeof word, sizeof word);
        const auto [place, added] = results.emplace(ids[r], std::pair(r, word));
        if (!added && place->second.second != word) {
            problems.push_back(path + ": " + row_name(table, r, ids[r]) + ": another result than row " +
                               std::to_string(place->second.first) + ", which has the same id");
        }
    }
    check_duplicates(table, ids, path, problems);
}

}  // namespace

std::vector<std::string> verify_store(const std::filesystem::path& path) {
    std::vector<std::string> problems;
    const auto name = path.string();
    try {
        probe_store(path);
        const auto file = open_store(path, false);
        Axes axes;
        try {
            axes = read_axes(file.get());
        } catch (const StorageError& error) {
            problems.push_back(name + ": axes: " + error.what());
        }
        std::size_t found = 0;
        for (const auto& table_name : result_table_names()) {
            // Each table on its own, so that a damaged one does not hide the problems of the others.
            try {
                if (!has_link(file.get(), table_name)) continue;
                ++found;
                const StoredTable table(file.get(), table_name);
                check_table(table, name, problems);
                check_codes(table, axes, name, problems);
            } catch (const StorageError& error) {
                problems.push_back(name + ": " + error.what());
            }
        }
        if (found == 0) problems.push_back(name + ": no result table, expected at least one");
        try {
            StoredTable(file.get(), "runs");
        } catch (const StorageError& error) {
            problems.push_back(name + ": " + error.what());
        }
    } catch (const InputError& error) {
        problems.insert(problems.end(), error.problems().begin(), error.problems().end());
    } catch (const StorageError& error) {
        problems.push_back(name + ": " + error.what());
    }
    return problems;
}

}  // namespace cmsweep
