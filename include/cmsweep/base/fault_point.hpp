#pragma once

#include <string_view>

namespace cmsweep {

/// Marks an instant at which tests of durability want to be able to kill this process. Does nothing unless the environment
/// variable CMSWEEP_FAULT names the event: `event=commit.words;at=3;rank=1;signal=KILL` raises SIGKILL in rank 1 at the third
/// time. `at` is 1, `rank` any and `signal` KILL where left out; SEGV, ABRT, FPE, BUS, ILL, STOP, TERM and USR1 are the others, and
/// instead of a signal `throw` throws a std::runtime_error and `hang` never returns.
void fault_point(std::string_view event);

}  // namespace cmsweep
