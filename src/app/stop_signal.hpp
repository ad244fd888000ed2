#pragma once

namespace cmsweep {

/// From now on SIGUSR1, SIGTERM and SIGINT ask for a graceful stop; a second SIGINT ends the process at once.
void catch_stop_signals();
/// Did one come? The latest one's number, or 0.
int stop_signal();

}  // namespace cmsweep
