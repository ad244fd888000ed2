#include <array>

#include "metrics.hpp"

namespace cmsweep {

std::span<const MetricInfo> similarity_metrics() {
    static const std::array table{
        cka_linear(),
        cka_debiased(),
        cka_rbf(),
        cka_minibatch(),
        mutual_knn(),
        cknna(),
        svcca(),
        pwcca(),
        cca(),
        procrustes(),
        rsa(),
    };
    return table;
}

const MetricInfo* find_metric(std::string_view name) {
    for (const auto& metric : similarity_metrics()) {
        if (metric.name == name) return &metric;
    }
    return nullptr;
}

}  // namespace cmsweep
