#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace cmsweep {

/// The user's input (command line, config, corpus, checkpoint, store) is wrong: exit code 2, nothing was started.
/// Holds every problem that was found, one line each: what, where, the value, what was expected, how to mend it.
class InputError : public std::runtime_error {
public:
    explicit InputError(const std::string& problem);
    explicit InputError(std::vector<std::string> problems);
    const std::vector<std::string>& problems() const { return problems_; }

private:
    std::vector<std::string> problems_;
};

/// A computation met a non-finite or singular value. Final for the one result that was being computed.
class NumericError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The disk is full or failing. Stops the sweep (exit code 3); never fails results one by one.
class StorageError : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Thrown at a safe point when the run has to end early; whoever owns a long loop saves its state and lets it pass.
class StopRequest : public std::runtime_error {
public:
    StopRequest() : std::runtime_error("stopped on request") {}
};

}  // namespace cmsweep
