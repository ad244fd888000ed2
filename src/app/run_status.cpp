#include "run_status.hpp"

#include <cstdint>
#include <cstdio>
#include <sstream>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/files.hpp"
#include "text_table.hpp"

namespace cmsweep {
namespace {

/// A count of results. The file may hold any number.
std::int64_t count_of(const nlohmann::json& snapshot, const char* key) {
    const double count = snapshot.at(key);
    constexpr double kMost = 1e15;  // exact, and far from where sums overflow
    if (!(count >= 0 && count <= kMost)) throw InputError(std::string(key) + " is no count");
    return static_cast<std::int64_t>(count);
}

std::string text_of(const nlohmann::json& snapshot, double now) {
    std::ostringstream out;
    const double age = now - snapshot.at("time").get<double>();
    const std::string state = snapshot.at("state");
    out << "run: " << state << ", reported " << format_duration(age < 0 ? 0 : age) << " ago";
    const bool at_work = state == "running" || state == "stopping";
    if (at_work && age > 30) out << " (no longer running, or stuck)";
    out << "\n" << progress_text(snapshot) << '\n';
    TextTable ranks({"rank", "since", "task"});
    for (const auto& rank : snapshot.at("ranks")) {
        ranks.add({std::to_string(count_of(rank, "rank")), format_duration(rank.at("since").get<double>()), rank.at("task").get<std::string>()});
    }
    if (!ranks.empty() && at_work) ranks.print(out);
    return out.str();
}

}  // namespace

std::string progress_text(const nlohmann::json& snapshot) {
    const auto total = count_of(snapshot, "total");
    const auto done = count_of(snapshot, "done");
    const auto failed = count_of(snapshot, "failed");
    const double rate = snapshot.at("rate");
    std::string text = std::to_string(done + failed) + "/" + std::to_string(total) + " results";
    if (failed > 0) text += ", " + std::to_string(failed) + " failed";
    char number[32];
    std::snprintf(number, sizeof number, ", %.2f/s", rate);
    text += number;
    if (const double eta = snapshot.at("eta"); done + failed < total && eta >= 0) text += ", about " + format_duration(eta) + " left";
    return text;
}

std::string run_status_text(std::string_view status, const std::string& name, double now) {
    const auto snapshot = nlohmann::json::parse(status, nullptr, false);
    try {
        if (snapshot.is_object()) return text_of(snapshot, now);
    } catch (const nlohmann::json::exception&) {  // a member is missing or of another type
    } catch (const InputError&) {  // or out of range
    }
    throw InputError(name + ": not a status file: delete it; the next run writes a new one");
}

}  // namespace cmsweep
