#include "progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "run_status.hpp"

namespace cmsweep {

ProgressDisplay::ProgressDisplay(std::filesystem::path status_file, int verbosity)
    : status_file_(std::move(status_file)), terminal_(isatty(STDERR_FILENO) != 0), verbosity_(verbosity) {}

void ProgressDisplay::write(const nlohmann::json& snapshot) {
    // Progress is a convenience: a full disk is the store's to report.
    try {
        write_atomically(status_file_, snapshot.dump(1) + "\n");
    } catch (const StorageError&) {
    }
}

void ProgressDisplay::update(const nlohmann::json& snapshot, double now) {
    if (now >= next_file_) {
        write(snapshot);
        next_file_ = now + 2;
    }
    if (verbosity_ == 0 || now < next_line_) return;
    if (terminal_) {
        const auto total = std::max<std::int64_t>(1, snapshot.at("total"));
        const auto past = snapshot.at("done").get<std::int64_t>() + snapshot.at("failed").get<std::int64_t>();
        const auto filled = static_cast<std::size_t>(30 * past / total);
        std::fprintf(stderr, "\r\x1b[K[%s%s] %s", std::string(filled, '#').c_str(), std::string(30 - filled, '.').c_str(), progress_text(snapshot).c_str());
        next_line_ = now + 0.5;
    } else {
        std::fprintf(stderr, "%s\n", progress_text(snapshot).c_str());
        next_line_ = now + 10;
    }
    std::fflush(stderr);
}

void ProgressDisplay::finish(const nlohmann::json& snapshot) {
    write(snapshot);
    if (verbosity_ == 0) return;
    if (terminal_) std::fprintf(stderr, "\r\x1b[K");
    std::fprintf(stderr, "%s\n", progress_text(snapshot).c_str());
}

}  // namespace cmsweep
