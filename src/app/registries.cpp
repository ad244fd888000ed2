// `cmsweep methods` and `cmsweep metrics`.
#include <cmath>
#include <ostream>

#include "cmsweep/core/merge/method.hpp"
#include "cmsweep/core/similarity/metric.hpp"
#include "commands.hpp"
#include "exit_code.hpp"

namespace cmsweep {
namespace {

void print_parameters(std::ostream& out, std::span<const ParameterSpec> parameters) {
    for (const auto& parameter : parameters) {
        out << "    " << parameter.name << ": " << parameter.range();
        if (!parameter.default_value.is_null()) out << "; default " << parameter.default_value.dump();
        if (!parameter.summary.empty()) out << "; " << parameter.summary;
        out << '\n';
    }
}

}  // namespace

int methods_command(std::ostream& out) {
    for (const auto& method : merge_methods()) {
        out << method.name << "  [" << family_name(method.family) << "]\n    " << method.summary << '\n';
        print_parameters(out, method.parameters);
        std::string needs;
        const auto need = [&](bool wanted, const std::string& what) {
            if (wanted) needs += (needs.empty() ? "" : ", ") + what;
        };
        const std::string where = method.no_text ? " (some settings)" : "";
        need(method.needs_base, "the base");
        need(method.needs_text, "training text" + where);
        need(method.least_members == 2 && method.most_members == 2, "exactly two members");
        need(method.draws, "a seed" + where);
        if (!needs.empty()) out << "    needs: " << needs << '\n';
        if (!method.identities.empty()) {
            out << "    holds:";
            for (std::size_t i = 0; i < method.identities.size(); ++i) out << (i ? ", " : " ") << method.identities[i];
            out << '\n';
        }
        out << "    source: " << method.source << "\n\n";
    }
    return kDone;
}

int metrics_command(std::ostream& out) {
    for (const auto& metric : similarity_metrics()) {
        out << metric.name << (metric.symmetric ? "" : "  (not symmetric)") << "\n    " << metric.summary << '\n';
        print_parameters(out, metric.parameters);
        if (metric.most_rows > 0) out << "    most rows: " << metric.most_rows << "; windows, or their tokens with pooling = \"token\"\n";
        out << "    source: " << metric.source << "\n\n";
    }
    return kDone;
}

}  // namespace cmsweep
