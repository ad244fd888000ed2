#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

// One function per command; each has a file of its own. All return an exit code and throw what main() turns into one.
namespace cmsweep {

struct RunOptions {
    std::filesystem::path config;
    int verbosity = 1;          ///< 0 quiet, 1 usual, 2 verbose
    std::string walltime;       ///< overrides the config's; empty: not given
};

int run_command(const RunOptions& options, int& argc, char**& argv);
int plan_command(const std::filesystem::path& config, std::ostream& out);
int status_command(const std::filesystem::path& config_or_store, std::ostream& out);
int report_command(const std::filesystem::path& store, std::ostream& out);
int verify_command(const std::filesystem::path& store, std::ostream& out);
int export_command(const std::filesystem::path& store, const std::filesystem::path& csv);

struct MaterializeOptions {
    std::filesystem::path store;
    std::string id;                ///< of a row of /experiments, or the beginning of one
    std::filesystem::path folder;  ///< to be made
    std::filesystem::path config;  ///< empty: the store's own copy
    std::uint64_t shard_bytes = std::uint64_t{5} << 30;
    int verbosity = 1;
};
int materialize_command(const MaterializeOptions& options);

int methods_command(std::ostream& out);
int metrics_command(std::ostream& out);

}  // namespace cmsweep
