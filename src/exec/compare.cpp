#include "cmsweep/base/error.hpp"
#include "executor.hpp"

namespace cmsweep {
namespace {

std::vector<double> row_major(const Eigen::MatrixXd& matrix) {
    std::vector<double> values;
    values.reserve(static_cast<std::size_t>(matrix.size()));
    for (Eigen::Index i = 0; i < matrix.rows(); ++i) {
        for (Eigen::Index j = 0; j < matrix.cols(); ++j) values.push_back(matrix(i, j));
    }
    return values;
}

}  // namespace

// All comparisons of one representation with others: a block x block matrix per metric and site.
void Executor::compare(const Task& task, TaskContext& context) {
    const ProbeLayout layout = probe_layout(task.payload.at("probe"));
    std::set<Id> wanted;
    for (const auto& key : task.results) wanted.insert(key.id);
    Stopwatch watch;
    for (const auto& item : task.payload.at("items")) {
        const Id id = item.at("id");
        if (!wanted.count(id)) continue;
        context.safe_point();
        const MetricInfo& metric = *find_metric(item.at("metric").get<std::string>());
        const auto& setting = item.at("setting");
        const std::string site = item.at("site");
        try {
            const PreparedBlocks a = prepared(metric, setting, item.at("a"), site, layout);
            const PreparedBlocks b = prepared(metric, setting, item.at("b"), site, layout);
            ComparisonOptions options;
            options.permutations = item.at("permutations");
            const ComparisonResult result = metric.compare(a, b, layout, setting, options, !item.at("cross").get<bool>());
            Record record;
            record.table = "similarity";
            record.id = id;
            record.message = result.message;
            const std::vector<std::int64_t> extents{result.value.rows(), result.value.cols()};
            record.set("value", extents, row_major(result.value));
            record.set("null_mean", extents, row_major(result.null_mean));
            record.set("null_p95", extents, row_major(result.null_p95));
            record.set("low", extents, row_major(result.low));
            record.set("high", extents, row_major(result.high));
            record.seconds = watch.lap();
            context.result(std::move(record));
        } catch (const NumericError& error) {
            context.result(numeric_failure("similarity", id, error.what()));
        }
    }
}

}  // namespace cmsweep
