#pragma once

#include <omp.h>

#include <exception>

#include <Eigen/Core>

namespace cmsweep {

/// Threads that in_parallel() uses: OpenMP's, which run.threads_per_rank sets.
inline int parallel_threads() { return omp_get_max_threads(); }

/// work(i, thread) for every i in [0, count), on parallel_threads() threads; `thread` counts from 0. What one i does must
/// not depend on another's. `each`: about how many multiply-adds that is; where all together take less time than threads
/// to wake, one thread does them. The first exception is thrown again once all have ended.
template <typename Work>
void in_parallel(Eigen::Index count, Eigen::Index each, Work work) {
    constexpr Eigen::Index kWorthThreads = 1 << 19;
    std::exception_ptr failure;
#pragma omp parallel for schedule(dynamic) if (count > 1 && count * each >= kWorthThreads)
    for (Eigen::Index i = 0; i < count; ++i) {
        try {
            work(i, omp_get_thread_num());
        } catch (...) {
#pragma omp critical(cmsweep_in_parallel)
            if (!failure) failure = std::current_exception();
        }
    }
    if (failure) std::rethrow_exception(failure);
}

}  // namespace cmsweep
