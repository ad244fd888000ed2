#include "probe.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/fault_point.hpp"
#include "hdf5.hpp"
#include "layout.hpp"

namespace cmsweep {
namespace {

constexpr int kSurvived = 42;        // no code with which a library or a sanitizer ends a process
constexpr rlim_t kMostSeconds = 60;  // of processor time; a store's few hundred objects take milliseconds

/// All that opening, listing and reading a dataset makes HDF5 parse; the values too where they are not just bytes in a row.
void read_dataset_parts(hid_t dataset, const std::string& name) {
    dataset_extents(dataset);
    stored_text_size(dataset);
    const Hdf5Handle properties(H5Dget_create_plist(dataset), H5Pclose, "properties of a dataset");
    if (H5Pget_layout(properties.get()) == H5D_CONTIGUOUS) return;
    for (const auto type : {ValueType::int8, ValueType::int32, ValueType::int64, ValueType::uint64, ValueType::float64, ValueType::text}) {
        Column column;
        column.name = name;
        column.type = type;
        column.text_size = stored_text_size(dataset);
        if ((type == ValueType::text) == (column.text_size > 0) && has_type(dataset, column)) read_dataset(dataset, column);
    }
}

void read_attributes(hid_t object) {
    const auto read = [](hid_t parent, const char* name, const H5A_info_t*, void*) -> herr_t {
        try {
            const Hdf5Handle attribute(H5Aopen(parent, name, H5P_DEFAULT), H5Aclose, "attribute");
            const Hdf5Handle type(H5Aget_type(attribute.get()), H5Tclose, "type of an attribute");
            if (H5Tget_class(type.get()) == H5T_STRING) read_text_attribute(parent, name);
            if (H5Tget_class(type.get()) == H5T_INTEGER) read_integer_attribute(parent, name);
        } catch (const StorageError&) {  // wrong, but not deadly
        }
        return 0;
    };
    H5Aexists(object, "CLASS");  // before the list, after which HDF5 looks elsewhere
    hsize_t position = 0;
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &position, read, nullptr);
    H5Aexists(object, "CLASS");
}

void read_object(hid_t parent, const std::string& name, int depth) {
    constexpr int kMostDepth = 4;  // /axes/<axis>/<column> is the deepest
    if (depth > kMostDepth) return;
    try {
        const Hdf5Handle object(H5Oopen(parent, name.c_str(), H5P_DEFAULT), H5Oclose, "object " + name);
        read_attributes(object.get());
        const auto kind = H5Iget_type(object.get());
        if (kind == H5I_DATASET) read_dataset_parts(object.get(), name);
        if (kind != H5I_GROUP) return;
        for (const auto& table : result_table_names()) has_link(object.get(), table);  // there or not, as its readers ask
        for (const auto& inner : link_names(object.get())) {
            has_link(object.get(), inner);
            read_object(object.get(), inner, depth + 1);
        }
    } catch (const StorageError&) {  // wrong, but not deadly
    }
}

[[noreturn]] void child(const std::filesystem::path& path) {
    // A crash here is an answer: no core file, no handler that takes it for a crash of the run.
    const rlimit none{0, 0}, time{kMostSeconds, kMostSeconds};
    ::setrlimit(RLIMIT_CORE, &none);
    ::setrlimit(RLIMIT_CPU, &time);
    for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGXCPU}) std::signal(number, SIG_DFL);
    // Meant for the run; whoever dies of them here would be taken for a victim of HDF5.
    for (const int number : {SIGUSR1, SIGTERM, SIGINT}) std::signal(number, SIG_IGN);
    fault_point("store.probe");
    try {
        auto file = open_serial(path, false);
        read_object(file.get(), "/", 0);
        file.close();
    } catch (const std::exception&) {  // refused in order
    }
    ::_exit(kSurvived);
}

}  // namespace

void probe_store(const std::filesystem::path& path) {
    const pid_t process = ::fork();
    if (process == 0) child(path);
    if (process < 0) return;  // no process to be had: as good as no probe
    int status = 0;
    while (::waitpid(process, &status, 0) < 0) {
        if (errno != EINTR) return;  // somebody else has reaped it
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == kSurvived) return;
    const std::string how = WIFSIGNALED(status) ? std::string(": ") + strsignal(WTERMSIG(status)) : std::string();
    throw InputError(path.string() + ": damaged: HDF5 does not survive reading it" + how + "; restore a copy, or move it away to start anew");
}

}  // namespace cmsweep
