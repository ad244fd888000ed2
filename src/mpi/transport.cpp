#include "cmsweep/mpi/transport.hpp"

#include <algorithm>
#include <chrono>
#include <climits>
#include <deque>
#include <exception>
#include <map>
#include <thread>
#include <utility>
#include <vector>

namespace cmsweep {
namespace {

/// Longer messages travel in parts. MPI keeps the order of messages between two ranks, whatever their tags.
constexpr std::size_t kPart = std::size_t{64} << 20;
constexpr int kLastPart = 0, kMoreFollows = 1;  // tags

/// A waiting rank sleeps between two looks for an eighth of the time that it has waited so far, from 50 µs to 5 ms: an
/// answer that comes at once is seen at once, and a long wait costs the cores 200 looks a second.
constexpr double kShortestSleep = 50e-6, kLongestSleep = 5e-3, kSleepShare = 1.0 / 8;

/// Calls further apart than this are separate waits: the caller did something else in between, s.
constexpr double kNewWait = 1e-3;

/// How long the destructor waits for sent messages to leave, s.
constexpr double kDrain = 1;

double now() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class MpiTransport final : public Transport {
public:
    explicit MpiTransport(Communicator communicator) : communicator_(std::move(communicator)) {}

    ~MpiTransport() override {
        // Receivers may be gone after an exception. Buffers that MPI still reads must not be freed: they are given up.
        if (std::uncaught_exceptions() == 0) {
            for (const double end = now() + kDrain; !sending_.empty() && now() < end;) {
                int done = 0;
                if (MPI_Test(&sending_.front().request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) break;
                if (done) sending_.pop_front();
            }
        }
        if (!sending_.empty()) new std::deque<Outgoing>(std::move(sending_));
    }

    int rank() const override { return communicator_.rank(); }
    int size() const override { return communicator_.size(); }

    void send(int to, const Message& message) override {
        reap();
        const std::vector<std::byte> bytes = serialise(message);
        std::size_t done = 0;
        do {
            const std::size_t part = std::min(kPart, bytes.size() - done);
            const bool last = done + part == bytes.size();
            auto& out = sending_.emplace_back();
            out.bytes.assign(bytes.begin() + static_cast<std::ptrdiff_t>(done),
                             bytes.begin() + static_cast<std::ptrdiff_t>(done + part));
            check_mpi(MPI_Isend(out.bytes.data(), static_cast<int>(part), MPI_BYTE, to, last ? kLastPart : kMoreFollows,
                                communicator_.handle(), &out.request),
                      "MPI_Isend of a message");
            done += part;
        } while (done < bytes.size());
    }

    std::optional<Message> receive(double timeout) override {
        if (timeout > 0 && now() - last_wait_ > kNewWait) idle_since_ = now();
        const double end = now() + timeout;
        while (true) {
            if (auto message = look()) {
                idle_since_ = last_wait_ = now();
                return message;
            }
            reap();
            const double left = end - now();
            if (left <= 0) break;
            const double sleep = std::clamp((now() - idle_since_) * kSleepShare, kShortestSleep, kLongestSleep);
            std::this_thread::sleep_for(std::chrono::duration<double>(std::min(sleep, left)));
        }
        if (timeout > 0) last_wait_ = now();
        return std::nullopt;
    }

private:
    struct Outgoing {
        std::vector<std::byte> bytes;  ///< MPI reads them until the request is done; moving a vector leaves them in place
        MPI_Request request = MPI_REQUEST_NULL;
    };

    void reap() {
        std::erase_if(sending_, [](Outgoing& out) {
            int done = 0;
            check_mpi(MPI_Test(&out.request, &done, MPI_STATUS_IGNORE), "MPI_Test of a sent message");
            return done != 0;
        });
    }

    std::optional<Message> look() {
        while (true) {
            int found = 0;
            MPI_Message handle = MPI_MESSAGE_NULL;
            MPI_Status status;
            check_mpi(MPI_Improbe(MPI_ANY_SOURCE, MPI_ANY_TAG, communicator_.handle(), &found, &handle, &status),
                      "MPI_Improbe");
            if (!found) return std::nullopt;
            int count = 0;
            check_mpi(MPI_Get_count(&status, MPI_BYTE, &count), "MPI_Get_count");
            auto& bytes = arriving_[status.MPI_SOURCE];
            const std::size_t before = bytes.size();
            bytes.resize(before + static_cast<std::size_t>(count));
            check_mpi(MPI_Mrecv(bytes.data() + before, count, MPI_BYTE, &handle, MPI_STATUS_IGNORE), "MPI_Mrecv");
            if (status.MPI_TAG != kLastPart) continue;
            const auto whole = std::exchange(bytes, {});
            return parse_message(whole, status.MPI_SOURCE);
        }
    }

    Communicator communicator_;
    std::deque<Outgoing> sending_;
    std::map<int, std::vector<std::byte>> arriving_;  ///< by sender, until the last part is there
    double idle_since_ = 0, last_wait_ = 0;
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(const Communicator& world) {
    return std::make_unique<MpiTransport>(world.duplicate());
}

}  // namespace cmsweep
