#pragma once

namespace cmsweep {

/// What the process returns; documented in the README.
enum ExitCode : int {
    kDone = 0,        ///< everything done
    kSomeFailed = 1,  ///< some experiments failed; the rest is stored
    kWrongInput = 2,  ///< command line, config or input is wrong; nothing was started or changed
    kInternal = 3,    ///< internal error, or the disk is full or failing
    kStopped = 75,    ///< stopped early on request or on the walltime; run again to continue
};

}  // namespace cmsweep
