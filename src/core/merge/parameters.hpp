#pragma once

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "cmsweep/core/setting.hpp"

// Short forms of ParameterSpec, so that a registry row reads as a table.
namespace cmsweep::parameter {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kMaxSteps = 1e9;  ///< open-ended counts end here, so that they fit every integer type

/// A number in [low, high].
inline ParameterSpec real(std::string name, double low, double high, nlohmann::json default_value,
                          std::string summary) {
    ParameterSpec spec;
    spec.name = std::move(name);
    spec.low = low;
    spec.high = high;
    spec.default_value = std::move(default_value);
    spec.summary = std::move(summary);
    return spec;
}

/// A number in (low, high].
inline ParameterSpec real_above(std::string name, double low, double high, nlohmann::json default_value,
                                std::string summary) {
    ParameterSpec spec = real(std::move(name), low, high, std::move(default_value), std::move(summary));
    spec.low_open = true;
    return spec;
}

/// A number in [low, high).
inline ParameterSpec real_below(std::string name, double low, double high, nlohmann::json default_value,
                                std::string summary) {
    ParameterSpec spec = real(std::move(name), low, high, std::move(default_value), std::move(summary));
    spec.high_open = true;
    return spec;
}

/// An integer in [low, high], or one of `words`.
inline ParameterSpec integer(std::string name, double low, double high, nlohmann::json default_value,
                             std::string summary, std::vector<std::string> words = {}) {
    ParameterSpec spec = real(std::move(name), low, high, std::move(default_value), std::move(summary));
    spec.kind = ParameterSpec::Kind::integer;
    spec.words = std::move(words);
    return spec;
}

/// One of `words`.
inline ParameterSpec choice(std::string name, std::vector<std::string> words, nlohmann::json default_value,
                            std::string summary) {
    ParameterSpec spec;
    spec.name = std::move(name);
    spec.kind = ParameterSpec::Kind::choice;
    spec.words = std::move(words);
    spec.default_value = std::move(default_value);
    spec.summary = std::move(summary);
    return spec;
}

inline ParameterSpec boolean(std::string name, bool default_value, std::string summary) {
    ParameterSpec spec;
    spec.name = std::move(name);
    spec.kind = ParameterSpec::Kind::boolean;
    spec.default_value = default_value;
    spec.summary = std::move(summary);
    return spec;
}

inline ParameterSpec real_list(std::string name, double low, double high, nlohmann::json default_value,
                               std::string summary) {
    ParameterSpec spec = real(std::move(name), low, high, std::move(default_value), std::move(summary));
    spec.kind = ParameterSpec::Kind::real_list;
    return spec;
}

/// What member_weights() reads.
inline ParameterSpec alpha() {
    return real("alpha", 0, 1, nullptr, "two members: weight of the first, the second has the rest; default 1/2");
}
inline ParameterSpec weights() {
    return real_list("weights", 0, kInfinity, nullptr,
                     "one weight a member, normalised by their sum; default 1/N each");
}

/// Whose training split a trained method learns from; the config also accepts a corpus' name here.
inline ParameterSpec train_on(std::string default_value) {
    return choice("train_on", {"target", "specialists"}, std::move(default_value),
                  "training split to learn from: the target's, the specialists' own in equal parts, or a corpus' name");
}

}  // namespace cmsweep::parameter
