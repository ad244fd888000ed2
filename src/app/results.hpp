#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace cmsweep {

/// One committed row of /experiments, with names instead of codes.
struct ExperimentRow {
    std::string id, pair, method, setting, target, layer;  ///< setting: canonical JSON
    std::vector<std::string> members;
    std::vector<std::int64_t> degrees;  ///< one a member
    std::int64_t seed = 0;
    bool in_plan = true;
    int status = 0;  ///< RowStatus
    std::string message;
    double loss = 0, loss_select = 0, accuracy = 0;
    double stored = 0, active = 0, trained = 0, target_tokens = 0, flops = 0, seconds = 0;
    std::array<double, 64> block_loss{};
};

/// All rows of a store, pending ones included. Throws InputError.
std::vector<ExperimentRow> read_experiments(const std::filesystem::path& store);

}  // namespace cmsweep
