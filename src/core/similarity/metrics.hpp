#pragma once

#include "cmsweep/core/similarity/metric.hpp"

namespace cmsweep {

// One a file; registry.cpp lists them.
MetricInfo cka_linear();
MetricInfo cka_debiased();
MetricInfo cka_rbf();
MetricInfo cka_minibatch();
MetricInfo mutual_knn();
MetricInfo cknna();
MetricInfo svcca();
MetricInfo pwcca();
MetricInfo cca();
MetricInfo procrustes();
MetricInfo rsa();

}  // namespace cmsweep
