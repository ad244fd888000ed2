// The command line: parsing, help, exit codes. Each command has a file of its own.
#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <boost/program_options.hpp>

#include "cmsweep/base/error.hpp"
#include "cmsweep/core/setting.hpp"
#include "cmsweep/exec/executor.hpp"
#include "commands.hpp"
#include "exit_code.hpp"

namespace {

namespace po = boost::program_options;
using namespace cmsweep;

constexpr const char* kUsage = R"(usage: cmsweep [run] CONFIG.toml            run or continue a sweep; under mpirun or srun on many ranks
       cmsweep plan CONFIG.toml             what a run would do: counts, time, memory, disk; nothing is run
       cmsweep status CONFIG.toml|STORE.h5  progress, rate, failures; safe while the sweep runs
       cmsweep report STORE.h5              per pair and degree the best way to combine, with intervals and costs
       cmsweep verify STORE.h5              checksums, schema, duplicates; exit 0 only if sound
       cmsweep export STORE.h5 --csv FILE   the experiment table as CSV
       cmsweep materialize STORE.h5 ID -o DIR
                                            a merged model, a specialist or the base as a Hugging Face checkpoint
       cmsweep methods | metrics            the merge methods and similarity metrics with their parameters

exit codes: 0 everything done; 1 some experiments failed; 2 wrong command line, config or input, nothing was changed;
3 internal error or failing disk; 75 stopped early, run again to continue

)";

struct Arguments {
    po::variables_map values;
    std::vector<std::string> words;
};

Arguments parse(int argc, char** argv, const po::options_description& visible) {
    po::options_description hidden;
    hidden.add_options()("word", po::value<std::vector<std::string>>());
    po::options_description all;
    all.add(visible).add(hidden);
    po::positional_options_description positions;
    positions.add("word", -1);
    Arguments arguments;
    po::store(po::command_line_parser(argc, argv).options(all).positional(positions).run(), arguments.values);
    po::notify(arguments.values);
    if (arguments.values.count("word")) arguments.words = arguments.values["word"].as<std::vector<std::string>>();
    return arguments;
}

MaterializeOptions materialize_options(const std::vector<std::string>& words, const po::variables_map& values) {
    if (words.size() != 2) throw InputError("cmsweep materialize: expected a store and an id, got " + std::to_string(words.size()) + " words; see cmsweep --help");
    if (!values.count("output")) throw InputError("cmsweep materialize: expected -o DIR, the folder to write");
    MaterializeOptions options;
    options.store = words[0];
    options.id = words[1];
    options.folder = values["output"].as<std::string>();
    if (!options.folder.has_filename()) options.folder = options.folder.parent_path();  // DIR/ is DIR
    if (options.folder.empty()) throw InputError("cmsweep materialize: -o is empty: expected the folder to write");
    if (values.count("config")) options.config = values["config"].as<std::string>();
    const std::int64_t megabytes = values["shard-size"].as<std::int64_t>();
    if (megabytes < 1) throw InputError("cmsweep materialize: --shard-size " + std::to_string(megabytes) + ": expected a number of MiB, at least 1");
    options.shard_bytes = static_cast<std::uint64_t>(megabytes) << 20;
    options.verbosity = values.count("quiet") ? 0 : 1;
    return options;
}

int dispatch(const Arguments& arguments, int& argc, char**& argv) {
    auto words = arguments.words;
    if (words.empty()) throw InputError("no command and no config: expected for example `cmsweep CONFIG.toml`; see cmsweep --help");
    std::string command = words[0];
    if (command.size() > 5 && command.ends_with(".toml")) {
        command = "run";
    } else {
        words.erase(words.begin());
    }
    static const std::vector<std::string> kCommands{"run", "plan", "status", "report", "verify", "export", "materialize", "methods", "metrics"};
    if (std::find(kCommands.begin(), kCommands.end(), command) == kCommands.end()) {
        const auto nearest = nearest_name(command, kCommands);
        throw InputError("unknown command \"" + command + "\"" + (nearest ? ": did you mean " + *nearest + "?" : ": expected a command or a config named *.toml; see cmsweep --help"));
    }
    if (command == "materialize") return materialize_command(materialize_options(words, arguments.values));
    const std::size_t expected = command == "methods" || command == "metrics" ? 0 : 1;
    if (words.size() != expected) {
        throw InputError("cmsweep " + command + ": expected " + std::to_string(expected) + " file, got " + std::to_string(words.size()) + "; see cmsweep --help");
    }
    if (command == "run") {
        RunOptions options;
        options.config = words[0];
        options.verbosity = arguments.values.count("quiet") ? 0 : arguments.values.count("verbose") ? 2 : 1;
        if (arguments.values.count("walltime")) options.walltime = arguments.values["walltime"].as<std::string>();
        return run_command(options, argc, argv);
    }
    if (command == "plan") return plan_command(words[0], std::cout);
    if (command == "status") return status_command(words[0], std::cout);
    if (command == "report") return report_command(words[0], std::cout);
    if (command == "verify") return verify_command(words[0], std::cout);
    if (command == "methods") return methods_command(std::cout);
    if (command == "metrics") return metrics_command(std::cout);
    if (!arguments.values.count("csv")) throw InputError("cmsweep export: expected --csv FILE");
    return export_command(words[0], arguments.values["csv"].as<std::string>());
}

}  // namespace

int main(int argc, char** argv) {
    po::options_description options("options");
    options.add_options()("help,h", "this text")("version", "versions of cmsweep and LibTorch")("verbose,v", "say more")("quiet,q", "say only what went wrong")(
        "walltime", po::value<std::string>(), "stop gracefully before this time is over: 90m, 2h, 1-12:00:00 (run; else the config's, else Slurm's)")(
        "csv", po::value<std::string>(), "file to write (export)")(
        "output,o", po::value<std::string>(), "folder to write; must not be there yet (materialize)")(
        "config", po::value<std::string>(), "the sweep's config, if it or what it names has moved since the run (materialize)")(
        "shard-size", po::value<std::int64_t>()->default_value(5120), "largest file of a checkpoint in MiB (materialize)");
    try {
        const Arguments arguments = parse(argc, argv, options);
        if (arguments.values.count("help")) {
            std::cout << kUsage << options;
            return kDone;
        }
        if (arguments.values.count("version")) {
            std::cout << "cmsweep " << CMSWEEP_VERSION << ", " << torch_version_text() << '\n';
            return kDone;
        }
        return dispatch(arguments, argc, argv);
    } catch (const po::error& error) {
        std::cerr << "cmsweep: " << error.what() << "; see cmsweep --help\n";
        return kWrongInput;
    } catch (const InputError& error) {
        for (const auto& problem : error.problems()) std::cerr << problem << '\n';
        return kWrongInput;
    } catch (const std::exception& error) {
        std::cerr << "cmsweep: " << error.what() << '\n';
        return kInternal;
    }
}
