#include "cmsweep/base/fault_point.hpp"

#include <csignal>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>

#include <unistd.h>

namespace cmsweep {
namespace {

struct Fault {
    std::string event;
    long at = 1;
    int signal = SIGKILL;
    std::string instead;

    Fault() {
        const char* wanted = std::getenv("CMSWEEP_FAULT");
        if (!wanted) return;
        std::map<std::string, std::string> fields;
        std::string_view rest = wanted;
        while (!rest.empty()) {
            const auto end = rest.find(';');
            const auto field = rest.substr(0, end);
            const auto equals = field.find('=');
            if (equals != std::string_view::npos) fields[std::string(field.substr(0, equals))] = field.substr(equals + 1);
            rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
        }
        // Open MPI's, PMIx's and Slurm's name of this rank; none: a process started alone.
        std::string rank = "0";
        for (const char* name : {"SLURM_PROCID", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"}) {
            if (const char* value = std::getenv(name)) rank = value;
        }
        if (fields.count("rank") && fields["rank"] != rank) return;
        if (fields.count("at")) at = std::strtol(fields["at"].c_str(), nullptr, 10);
        static const std::map<std::string, int> kSignals{{"KILL", SIGKILL}, {"SEGV", SIGSEGV}, {"ABRT", SIGABRT}, {"FPE", SIGFPE},
                                                         {"BUS", SIGBUS}, {"ILL", SIGILL}, {"STOP", SIGSTOP}, {"TERM", SIGTERM}, {"USR1", SIGUSR1}};
        if (const auto found = kSignals.find(fields["signal"]); found != kSignals.end()) signal = found->second;
        instead = fields["signal"];
        event = fields["event"];
    }
};

}  // namespace

void fault_point(std::string_view event) {
    static Fault fault;
    if (fault.event.empty() || fault.event != event || --fault.at != 0) return;
    if (fault.instead == "throw") throw std::runtime_error("fault on purpose at " + fault.event);
    while (fault.instead == "hang") ::pause();
    std::raise(fault.signal);
}

}  // namespace cmsweep
