#include "cmsweep/exec/materialize.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <random>
#include <system_error>

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

namespace {

namespace fs = std::filesystem;

/// A new folder beside `folder`, under a name of its own until it is whole; removed with all in it unless it was given its name.
class UnfinishedFolder {
public:
    explicit UnfinishedFolder(const fs::path& folder) : folder_(folder) {
        const fs::path parent = folder.has_parent_path() ? folder.parent_path() : fs::path(".");
        std::error_code failed;
        fs::create_directories(parent, failed);
        std::random_device random;
        for (int attempt = 0; attempt < 100 && !failed; ++attempt) {
            std::array<char, 9> suffix;
            std::snprintf(suffix.data(), suffix.size(), "%08x", random());
            std::string name = ".";  // hidden, so that no glob picks up what a crash leaves behind
            name.append(folder.filename().string(), 0, 200).append(".").append(suffix.data()).append(".tmp");
            path_ = parent / name;
            if (fs::create_directory(path_, failed)) return;  // not one that was there
        }
        throw StorageError(folder.string() + ": cannot be written, no folder can be made in " + parent.string() +
                           (failed ? " (" + failed.message() + ")" : "") + ": choose a place that you may write to");
    }
    ~UnfinishedFolder() {
        std::error_code ignored;
        if (!path_.empty()) fs::remove_all(path_, ignored);
    }
    UnfinishedFolder(const UnfinishedFolder&) = delete;
    UnfinishedFolder& operator=(const UnfinishedFolder&) = delete;
    const fs::path& path() const { return path_; }
    void give_name() {
        std::error_code failed;
        fs::rename(path_, folder_, failed);
        if (failed) throw StorageError(folder_.string() + ": cannot be given its name (" + failed.message() + "): expected a name that is still free");
        path_.clear();
    }

private:
    fs::path folder_, path_;
};

}  // namespace

void materialize(const Job& job, const Task& task, const Id& row, const fs::path& folder, std::uint64_t shard_bytes) {
    const auto network = Executor(job, 0).network_of(task, row);
    UnfinishedFolder unfinished(folder);
    save_checkpoint(unfinished.path(), *network, job.tokenizer_folder.empty() ? job.base_folder : job.tokenizer_folder, shard_bytes);
    unfinished.give_name();
}

}  // namespace cmsweep
