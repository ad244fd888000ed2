#include "cmsweep/exec/materialize.hpp"

#include <algorithm>
#include <filesystem>

#include "cmsweep/base/error.hpp"
#include "executor.hpp"

namespace cmsweep {

std::shared_ptr<const Parameters> Executor::network_of(const Task& task, const Id& row) {
    const auto& payload = task.payload;
    if (find_method(payload.at("method").get<std::string>())->family == Family::reference) return model(payload.at("members").at(0));
    const auto& items = payload.at("items");
    const auto item = std::find_if(items.begin(), items.end(), [&](const auto& one) { return one.at("id").template get<Id>() == row; });
    if (item == items.end()) throw std::invalid_argument("network_of: the task has no row " + row.hex());
    CombinationInput input = combination_input(payload);
    add_item(input, *item);
    return combine(input).merged;
}

void materialize(const Job& job, const Task& task, const Id& row, const std::filesystem::path& folder, std::uint64_t shard_bytes) {
    namespace fs = std::filesystem;
    const auto network = Executor(job, 0).network_of(task, row);
    // Under another name until it is whole.
    const fs::path unfinished = folder.string() + ".part";
    fs::remove_all(unfinished);
    save_checkpoint(unfinished, *network, job.tokenizer_folder.empty() ? job.base_folder : job.tokenizer_folder, shard_bytes);
    std::error_code failed;
    fs::rename(unfinished, folder, failed);
    if (failed) throw StorageError(folder.string() + ": cannot be given its name (" + failed.message() + "); the model is in " + unfinished.string());
}

}  // namespace cmsweep
