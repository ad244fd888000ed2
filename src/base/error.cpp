#include "cmsweep/base/error.hpp"

#include <utility>

namespace cmsweep {
namespace {

std::string join_lines(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& line : lines) {
        if (!text.empty()) text += '\n';
        text += line;
    }
    return text;
}

}  // namespace

InputError::InputError(const std::string& problem) : std::runtime_error(problem), problems_{problem} {}

InputError::InputError(std::vector<std::string> problems)
    : std::runtime_error(join_lines(problems)), problems_(std::move(problems)) {}

}  // namespace cmsweep
