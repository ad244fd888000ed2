#include "cmsweep/mpi/communicator.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <utility>

#include <sched.h>

namespace cmsweep {
namespace {

/// One MPI call carries at most this much; counts are ints.
constexpr std::uint64_t kMostBytesPerCall = std::uint64_t{1} << 30;

void set_unless_set(const char* name, const char* value) { setenv(name, value, /*overwrite=*/0); }

/// Cores that this process may run on; 0 if the system does not tell.
int available_cores() {
    cpu_set_t cores;
    CPU_ZERO(&cores);
    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores) : 0;
}

}  // namespace

void check_mpi(int code, const char* what) {
    if (code == MPI_SUCCESS) return;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    MPI_Error_string(code, text, &length);
    throw std::runtime_error(std::string(what) + ": " + text);
}

MpiSession::MpiSession(int& argc, char**& argv) : exceptions_(std::uncaught_exceptions()) {
    // Collective writes through several aggregators corrupt the store silently (open-mpi/ompi#12718): their data sieving reads,
    // modifies and writes without a lock. Either setting is the cure; both, in case a version or file system ignores one.
    set_unless_set("OMPI_MCA_fs_ufs_lock_algorithm", "3");
    set_unless_set("OMPI_MCA_fbtl_posix_write_datasieving", "0");
    // Semaphores that a killed run left in /dev/shm make opening a file fail.
    set_unless_set("OMPI_MCA_sharedfp", "^sm");
    // Ranks that spin while they wait starve those that compute.
    const char* local_ranks = std::getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    const int cores = available_cores();
    if (local_ranks && cores > 0 && std::atoi(local_ranks) > cores) set_unless_set("OMPI_MCA_mpi_yield_when_idle", "1");

    int provided = 0;
    check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
    if (provided < MPI_THREAD_FUNNELED) {
        throw std::runtime_error("MPI_Init_thread: this MPI does not allow threads beside the main one (FUNNELED)");
    }
    check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
}

MpiSession::~MpiSession() {
    if (std::uncaught_exceptions() == exceptions_) MPI_Finalize();
}

Communicator::Communicator(MPI_Comm handle, bool owned) : handle_(handle), owned_(owned) {
    check_mpi(MPI_Comm_rank(handle_, &rank_), "MPI_Comm_rank");
    check_mpi(MPI_Comm_size(handle_, &size_), "MPI_Comm_size");
}

Communicator Communicator::world() { return {MPI_COMM_WORLD, false}; }

Communicator Communicator::duplicate() const {
    MPI_Comm copy = MPI_COMM_NULL;
    check_mpi(MPI_Comm_dup(handle_, &copy), "MPI_Comm_dup");
    return {copy, true};
}

Communicator Communicator::split_by_node() const {
    MPI_Comm node = MPI_COMM_NULL;
    check_mpi(MPI_Comm_split_type(handle_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
    return {node, true};
}

Communicator::Communicator(Communicator&& other) noexcept
    : handle_(std::exchange(other.handle_, MPI_COMM_NULL)),
      owned_(std::exchange(other.owned_, false)),
      rank_(other.rank_),
      size_(other.size_) {}

Communicator& Communicator::operator=(Communicator&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(owned_, other.owned_);
    std::swap(rank_, other.rank_);
    std::swap(size_, other.size_);
    return *this;
}

Communicator::~Communicator() {
    // Freeing may wait for peers: not while an exception unwinds, nor after MPI_Finalize.
    if (!owned_ || std::uncaught_exceptions() > 0) return;
    int finalized = 0;
    if (MPI_Finalized(&finalized) == MPI_SUCCESS && !finalized) MPI_Comm_free(&handle_);
}

void Communicator::barrier() const { check_mpi(MPI_Barrier(handle_), "MPI_Barrier"); }

std::vector<std::byte> Communicator::broadcast(std::vector<std::byte> bytes, int root) const {
    std::uint64_t size = bytes.size();
    check_mpi(MPI_Bcast(&size, 1, MPI_UINT64_T, root, handle_), "MPI_Bcast of a size");
    bytes.resize(size);
    for (std::uint64_t done = 0; done < size;) {
        const auto part = std::min(size - done, kMostBytesPerCall);
        check_mpi(MPI_Bcast(bytes.data() + done, static_cast<int>(part), MPI_BYTE, root, handle_), "MPI_Bcast");
        done += part;
    }
    return bytes;
}

std::string Communicator::broadcast(const std::string& text, int root) const {
    const auto* begin = reinterpret_cast<const std::byte*>(text.data());
    const auto bytes = broadcast(std::vector<std::byte>(begin, begin + text.size()), root);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool Communicator::all(bool value) const {
    int mine = value ? 1 : 0, result = 0;
    check_mpi(MPI_Allreduce(&mine, &result, 1, MPI_INT, MPI_LAND, handle_), "MPI_Allreduce");
    return result != 0;
}

std::vector<std::string> Communicator::gather(const std::string& text, int root) const {
    const std::uint64_t size = text.size();
    std::vector<std::uint64_t> sizes(rank_ == root ? static_cast<std::size_t>(size_) : 0);
    check_mpi(MPI_Gather(&size, 1, MPI_UINT64_T, sizes.data(), 1, MPI_UINT64_T, root, handle_), "MPI_Gather of sizes");
    // Everybody must take the same way, so the sum is agreed on first.
    std::uint64_t total = 0;
    check_mpi(MPI_Allreduce(&size, &total, 1, MPI_UINT64_T, MPI_SUM, handle_), "MPI_Allreduce of sizes");
    if (total > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) {
        throw std::length_error("gather of " + std::to_string(total) + " bytes: expected less than 2 GiB in all");
    }
    std::vector<int> counts(sizes.begin(), sizes.end()), offsets(sizes.size(), 0);
    if (!counts.empty()) std::partial_sum(counts.begin(), counts.end() - 1, offsets.begin() + 1);
    std::string joined(rank_ == root ? total : 0, '\0');
    check_mpi(MPI_Gatherv(text.data(), static_cast<int>(size), MPI_CHAR, joined.data(), counts.data(), offsets.data(),
                          MPI_CHAR, root, handle_),
              "MPI_Gatherv");
    std::vector<std::string> texts;
    for (std::size_t r = 0; r < counts.size(); ++r) {
        texts.push_back(joined.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r])));
    }
    return texts;
}

void Communicator::abort(int code) const {
    MPI_Abort(handle_, code);
    std::abort();  // MPI_Abort does not return
}

}  // namespace cmsweep
