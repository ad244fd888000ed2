#include "stop_signal.hpp"

#include <cerrno>
#include <csignal>
#include <initializer_list>

#include "cmsweep/sched/flight_record.hpp"

namespace cmsweep {
namespace {

// A signal handler may touch nothing else.
volatile std::sig_atomic_t received = 0;
volatile std::sig_atomic_t interrupted = 0;

extern "C" void note_signal(int number) {
    const int before = errno;
    // mpirun sends TERM to all other ranks when one has died: that one's task must still be counted.
    note_planned_stop(number != SIGTERM);
    errno = before;
    received = number;
    if (number != SIGINT) return;
    if (interrupted) {
        std::signal(SIGINT, SIG_DFL);
        std::raise(SIGINT);
    }
    interrupted = 1;
}

}  // namespace

void catch_stop_signals() {
    for (const int number : {SIGUSR1, SIGTERM, SIGINT}) {
        struct sigaction action = {};
        action.sa_handler = note_signal;
        sigemptyset(&action.sa_mask);
        action.sa_flags = SA_RESTART;
        sigaction(number, &action, nullptr);
    }
}

int stop_signal() { return received; }

}  // namespace cmsweep
