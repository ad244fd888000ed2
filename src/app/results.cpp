#include "results.hpp"

#include <algorithm>

#include "cmsweep/store/store.hpp"

namespace cmsweep {

std::vector<ExperimentRow> read_experiments(const std::filesystem::path& store) {
    const StoreReader reader(store);
    const std::string table = "experiments";
    const std::size_t count = reader.rows(table);
    const Axes axes = reader.axes();
    const auto column = [&](const char* name) { return reader.numbers(table, name); };
    const auto name_of = [&](const char* axis, double code) -> std::string {
        const auto& names = axes.names.at(axis);
        const auto index = static_cast<std::size_t>(code);
        return code >= 0 && index < names.size() ? names[index] : "";
    };
    const auto ids = reader.texts(table, "id");
    const auto messages = reader.texts(table, "message");
    const auto status = column("status"), in_plan = column("in_plan"), seed = column("seed"), pair = column("pair"),
               method = column("method"), setting = column("setting"), target = column("target"), layer = column("layer"),
               model = column("model"), degree = column("degree"), loss = column("loss"), select = column("loss_select"),
               accuracy = column("accuracy"), stored = column("parameters_stored"), active = column("parameters_active"),
               trained = column("parameters_trained"), tokens = column("target_tokens"), flops = column("flops_per_token"),
               seconds = column("seconds"), blocks = column("block_loss");
    const std::size_t width = count > 0 ? model.values.size() / count : 0;
    std::vector<ExperimentRow> rows(count);
    for (std::size_t i = 0; i < count; ++i) {
        ExperimentRow& row = rows[i];
        row.id = ids[i];
        row.message = messages[i];
        row.status = static_cast<int>(status.values[i]);
        row.in_plan = in_plan.values[i] != 0;
        row.seed = static_cast<std::int64_t>(seed.values[i]);
        row.pair = name_of("pair", pair.values[i]);
        row.method = name_of("method", method.values[i]);
        const auto code = static_cast<std::size_t>(setting.values[i]);
        if (setting.values[i] >= 0 && code < axes.setting_parameters.size()) row.setting = axes.setting_parameters[code];
        row.target = name_of("target", target.values[i]);
        row.layer = name_of("layer", layer.values[i]);
        for (std::size_t m = 0; m < width; ++m) {
            const double member = model.values[i * width + m];
            if (member < 0) continue;
            row.members.push_back(name_of("model", member));
            row.degrees.push_back(static_cast<std::int64_t>(degree.values[i * width + m]));
        }
        row.loss = loss.values[i];
        row.loss_select = select.values[i];
        row.accuracy = accuracy.values[i];
        row.stored = stored.values[i];
        row.active = active.values[i];
        row.trained = trained.values[i];
        row.target_tokens = tokens.values[i];
        row.flops = flops.values[i];
        row.seconds = seconds.values[i];
        std::copy_n(blocks.values.begin() + static_cast<std::ptrdiff_t>(i * 64), 64, row.block_loss.begin());
    }
    return rows;
}

}  // namespace cmsweep
