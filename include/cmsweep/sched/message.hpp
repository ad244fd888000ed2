#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include <nlohmann/json.hpp>

namespace cmsweep {

/// What master and workers say to each other. Messages of one sender arrive in the order in which they were sent, and every
/// worker gets go, stop and finish in the same order: that is what keeps collective commits matched. Every `assign` is
/// answered by exactly one `finished`.
struct Message {
    enum class Kind : std::uint8_t {
        // worker -> master
        started,    ///< task: running now
        published,  ///< asset: on disk
        finished,   ///< task, outcome (done, failed, unfinished), seconds, counts of done and failed results, message
        news,       ///< uncommitted results exist: task, counts so far, commits joined so far
        ready,      ///< round: at a safe point, willing to commit
        alive,      ///< heartbeat, sent at safe points
        fault,      ///< storage failure: message; the sweep must stop
        // master -> worker
        assign,     ///< a task
        prepare,    ///< round: answer `ready` at the next safe point
        go,         ///< join the commit at the next safe point
        stop,       ///< end long tasks at the next safe point, drop the queue
        finish,     ///< nothing more will come: take part in the last commit (if `commit`) and leave with `outcome`
    };
    Kind kind = Kind::alive;
    int from = 0;
    nlohmann::json body;
};

std::vector<std::byte> serialise(const Message& message);
Message parse_message(std::span<const std::byte> bytes, int from);

/// Point-to-point messages between ranks. One implementation over MPI (src/mpi), one inside a process (src/sched).
class Transport {
public:
    virtual ~Transport() = default;
    virtual int rank() const = 0;
    virtual int size() const = 0;
    virtual void send(int to, const Message& message) = 0;
    /// The next message, or nothing after `timeout` seconds; sleeps meanwhile instead of spinning. 0: only look.
    virtual std::optional<Message> receive(double timeout) = 0;
};

/// Where results go until they are safe; implemented by the store.
class ResultSink {
public:
    virtual ~ResultSink() = default;
    virtual bool has_news() const = 0;  ///< [independent] uncommitted results on this rank
    virtual void commit() = 0;          ///< [collective] over all ranks
};

}  // namespace cmsweep
