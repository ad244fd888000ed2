#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "../../base/limited_memory.hpp"
#include "cmsweep/base/files.hpp"
#include "cmsweep/core/similarity/features.hpp"

extern "C" void omp_set_num_threads(int threads);
extern "C" void openblas_set_num_threads(int threads);

namespace cmsweep {

/// Features of `rows` calls of next_row(), in a mapped file that is gone with them.
inline Features mapped_features(Eigen::Index rows, Eigen::Index columns, const std::function<void(float* row)>& next_row) {
    std::string name = (std::filesystem::temp_directory_path() / "cmsweep_features_XXXXXX").string();
    const int descriptor = mkstemp(name.data());
    if (descriptor < 0) throw std::runtime_error("no temporary file " + name);
    close(descriptor);
    std::ofstream file(name, std::ios::binary);
    std::vector<float> row(static_cast<std::size_t>(columns));
    for (Eigen::Index i = 0; i < rows; ++i) {
        next_row(row.data());
        file.write(reinterpret_cast<const char*>(row.data()), static_cast<std::streamsize>(row.size() * sizeof(float)));
    }
    file.close();
    auto mapping = std::make_shared<const MappedFile>(name);
    std::filesystem::remove(name);
    const auto* values = reinterpret_cast<const float*>(mapping->bytes().data());
    return {std::move(mapping), values, rows, columns};
}

/// Does work() end without an exception in a child process, on one thread, under limit_memory(bytes)?
inline bool runs_within(std::size_t bytes, const std::function<void()>& work) {
    std::fflush(nullptr);
    const pid_t child = fork();
    if (child < 0) throw std::runtime_error("cannot fork");
    if (child == 0) {
        alarm(300);  // whatever waits for memory that never comes
        // Each of OpenBLAS's threads takes work space once, of which it would ask for ever if it got none: now, in a product
        // that all of them have a part in. What follows is of one thread, since threads of OpenMP do not survive fork().
        const Eigen::MatrixXd factor = Eigen::MatrixXd::Ones(512, 512);
        Eigen::MatrixXd product = factor * factor;
        omp_set_num_threads(1);
        openblas_set_num_threads(1);
        product = factor * factor;  // a thread that is left keeps its work space: the one needs its own
        try {
            if (product(0, 0) != 512) throw std::runtime_error("a product is wrong");
            limit_memory(bytes);
            work();
        } catch (const std::exception& error) {
            std::fprintf(stderr, "within %zu bytes: %s\n", bytes, error.what());
            _exit(1);
        }
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace cmsweep
