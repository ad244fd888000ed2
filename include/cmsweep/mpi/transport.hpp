#pragma once

#include <memory>

#include "cmsweep/mpi/communicator.hpp"
#include "cmsweep/sched/message.hpp"

namespace cmsweep {

/// Transport over point-to-point MPI messages on its own duplicate of `world`. [collective]
std::unique_ptr<Transport> make_mpi_transport(const Communicator& world);

}  // namespace cmsweep
