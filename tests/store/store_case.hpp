#pragma once

#include <cmath>
#include <filesystem>
#include <string>

#include <unistd.h>

#include "cmsweep/store/store.hpp"

// A small plan made by hand, and a folder of its own for every test.
namespace cmsweep {

/// A fresh folder under the system's temporary one, removed at the end (by rank 0 of MPI tests).
class TemporaryFolder {
public:
    explicit TemporaryFolder(const std::string& name, bool owner = true)
        : path_(std::filesystem::temp_directory_path() / name), owner_(owner) {
        if (!owner_) return;
        std::filesystem::remove_all(path_);
        std::filesystem::create_directories(path_);
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        if (owner_) std::filesystem::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    const std::filesystem::path& path() const { return path_; }
    std::filesystem::path store() const { return path_ / "sweep.h5"; }
    std::filesystem::path side() const { return path_ / "sweep.d"; }

private:
    std::filesystem::path path_;
    bool owner_;
};

inline TemporaryFolder own_folder(const std::string& name) {
    return TemporaryFolder("cmsweep-" + name + '-' + std::to_string(::getpid()));
}

/// What varies between the plans of the tests.
struct CaseShape {
    int degrees = 3;             ///< rows per method: degrees 0, 10, 20, …
    std::int64_t members = 2;
    std::int64_t blocks = 3;
    std::vector<std::string> methods{"average", "route"};
    std::vector<std::string> models{"code", "math"};
};

/// The id of (method, degree), whatever else is in the plan.
inline Id case_id(const std::string& method, int degree) {
    return hash_text("row " + method + ' ' + std::to_string(degree));
}

/// One experiment row for every method and degree, one comparison a degree, one trajectory a model.
inline Plan case_plan(const CaseShape& shape = {}) {
    const TableSizes sizes{.members = shape.members, .blocks = shape.blocks, .steps = 5, .experts = 4};
    Plan plan;
    plan.axes.names["model"] = shape.models;
    plan.axes.names["corpus"] = {"doctest"};
    plan.axes.names["pair"] = {"code+math"};
    plan.axes.members["pair"] = {{"code", "math"}};
    plan.axes.names["layer"] = {"all"};
    plan.axes.names["target"] = {"doctest"};
    plan.axes.names["metric"] = {"cka_linear"};
    plan.axes.names["method"] = shape.methods;
    for (std::size_t m = 0; m < shape.methods.size(); ++m) {
        plan.axes.names["setting"].push_back(shape.methods[m] + " {\"alpha\":0.5}");
        plan.axes.setting_method.push_back(static_cast<std::int64_t>(m));
        plan.axes.setting_parameters.push_back("{\"alpha\":0.5}");
        plan.axes.setting_numbers["alpha"].push_back(0.5);
    }

    TableRows experiments{experiments_table(sizes), {}, {}};
    auto& labels = experiments.labels;
    for (std::size_t m = 0; m < shape.methods.size(); ++m) {
        for (int d = 0; d < shape.degrees; ++d) {
            experiments.ids.push_back(case_id(shape.methods[m], 10 * d));
            labels["layer_last"].push_back(static_cast<double>(shape.blocks - 1));
            labels["method"].push_back(static_cast<double>(m));
            labels["setting"].push_back(static_cast<double>(m));
            for (std::int64_t i = 0; i < shape.members; ++i) {
                const bool present = i < 2;
                labels["model"].push_back(present ? static_cast<double>(i) : -1);
                labels["degree"].push_back(present ? 10 * d : -1);
                labels["weight"].push_back(present ? 0.5 : std::nan(""));
            }
        }
    }
    TableRows similarity{similarity_table(sizes), {}, {}};
    for (int d = 0; d < shape.degrees; ++d) {
        similarity.ids.push_back(hash_text("comparison " + std::to_string(d)));
        similarity.labels["model_b"].push_back(1);
        for (const char* degree : {"degree_a", "degree_b"}) similarity.labels[degree].push_back(10 * d);
    }
    TableRows training{training_table(sizes), {}, {}};
    for (std::size_t m = 0; m < shape.models.size(); ++m) {
        training.ids.push_back(hash_text("trajectory " + shape.models[m]));
        training.labels["model"].push_back(static_cast<double>(m));
    }
    plan.axes.names["site"] = {"residual"};
    plan.tables = {experiments, similarity, training, {routing_table(sizes), {}, {}}};
    // Labels that do not matter here are 0: the first name, the first seed.
    for (auto& table : plan.tables) {
        for (const auto& column : table.spec.columns) {
            if (column.role != Column::Role::label) continue;
            table.labels[column.name].resize(table.rows() * static_cast<std::size_t>(table.spec.elements(column)));
        }
    }
    std::string everything = std::to_string(shape.degrees) + ' ' + std::to_string(shape.members) + ' ' + std::to_string(shape.blocks);
    for (const auto& name : shape.methods) everything += ' ' + name;
    for (const auto& name : shape.models) everything += ' ' + name;
    plan.digest = hash_text(everything);
    return plan;
}

inline StoreIdentity case_identity(const std::string& name = "case") {
    return {name, "[sweep]\nname = \"" + name + "\"  # τ\n", {{"compiler", "g++"}, {"revision", "abc"}}};
}

/// A result whose every value follows from `x`.
inline Record case_record(const Id& id, double x) {
    Record record;
    record.table = "experiments";
    record.id = id;
    record.seconds = x / 10;
    record.set("loss", x);
    record.set("accuracy", 1 / (1 + x));
    record.set("tokens", 1000 + std::floor(x));
    record.set("block_loss", {2}, {x, x + 0.5});
    record.set("similarity_member", {2, 3}, {x, x + 1, x + 2, x + 3, x + 4, x + 5});
    return record;
}

}  // namespace cmsweep
