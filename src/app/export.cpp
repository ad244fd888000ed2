// `cmsweep export`: the experiment table as CSV.
#include <charconv>
#include <cmath>

#include "cmsweep/base/files.hpp"
#include "commands.hpp"
#include "exit_code.hpp"
#include "results.hpp"

namespace cmsweep {
namespace {

/// RFC 4180: quoted where needed, quotes doubled.
std::string cell(const std::string& text) {
    if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
    std::string quoted = "\"";
    for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
    return quoted + '"';
}

/// Shortest text that reads back as the same double; empty for NaN.
std::string cell(double value) {
    if (std::isnan(value)) return "";
    char text[32];
    const auto end = std::to_chars(text, text + sizeof text, value).ptr;
    return std::string(text, end);
}

template <class Value>
std::string joined(const std::vector<Value>& values) {
    std::string text;
    for (const auto& value : values) {
        if (!text.empty()) text += '+';
        if constexpr (std::is_same_v<Value, std::string>) text += value;
        else text += std::to_string(value);
    }
    return text;
}

}  // namespace

int export_command(const std::filesystem::path& store, const std::filesystem::path& csv) {
    static const char* kStatus[] = {"pending", "done", "failed", "quarantined"};
    std::string text =
        "id,in_plan,status,pair,degrees,layer,method,setting,seed,target,loss,accuracy,loss_select,parameters_stored,parameters_active,"
        "parameters_trained,target_tokens,flops_per_token,seconds,message\r\n";
    for (const auto& row : read_experiments(store)) {
        const std::string cells[] = {row.id, row.in_plan ? "1" : "0", kStatus[row.status & 3], cell(row.pair), joined(row.degrees), row.layer,
                                     row.method, cell(row.setting), std::to_string(row.seed), cell(row.target), cell(row.loss), cell(row.accuracy),
                                     cell(row.loss_select), cell(row.stored), cell(row.active), cell(row.trained), cell(row.target_tokens),
                                     cell(row.flops), cell(row.seconds), cell(row.message)};
        for (std::size_t i = 0; i < std::size(cells); ++i) text += (i ? "," : "") + cells[i];
        text += "\r\n";
    }
    write_atomically(csv, text);
    return kDone;
}

}  // namespace cmsweep
