#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <mpi.h>

namespace cmsweep {

/// Every MPI return code goes through here: throws std::runtime_error with MPI's own text and `what`.
void check_mpi(int code, const char* what);

/// MPI_Init_thread(FUNNELED) … MPI_Finalize. Sets, before MPI_Init and unless the user set them, the Open MPI parameters
/// that the store relies on (fs_ufs_lock_algorithm=3, sharedfp=^sm) and mpi_yield_when_idle where ranks exceed cores.
/// While an exception unwinds, the destructor does not finalize (peers may be inside a collective call): the caller
/// aborts instead.
class MpiSession {
public:
    MpiSession(int& argc, char**& argv);
    ~MpiSession();
    MpiSession(const MpiSession&) = delete;
    MpiSession& operator=(const MpiSession&) = delete;

private:
    int exceptions_ = 0;
};

/// A communicator. Move-only; duplicates free themselves.
class Communicator {
public:
    static Communicator world();              ///< not owned
    Communicator duplicate() const;           ///< [collective]
    Communicator split_by_node() const;       ///< [collective] ranks that share memory; its rank is the local rank

    Communicator(Communicator&& other) noexcept;
    Communicator& operator=(Communicator&& other) noexcept;
    ~Communicator();

    int rank() const { return rank_; }
    int size() const { return size_; }
    MPI_Comm handle() const { return handle_; }

    void barrier() const;                                             ///< [collective]
    std::vector<std::byte> broadcast(std::vector<std::byte> bytes, int root) const;  ///< [collective] any size, over 2 GiB too
    std::string broadcast(const std::string& text, int root) const;   ///< [collective]
    bool all(bool value) const;                                       ///< [collective] logical and
    std::vector<std::string> gather(const std::string& text, int root) const;  ///< [collective] empty except at root
    [[noreturn]] void abort(int code) const;

private:
    Communicator(MPI_Comm handle, bool owned);
    MPI_Comm handle_ = MPI_COMM_NULL;
    bool owned_ = false;
    int rank_ = 0, size_ = 1;
};

}  // namespace cmsweep
