#include "cmsweep/base/error.hpp"
#include "cmsweep/core/similarity/in_tiles.hpp"
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

// A tile of the matrix of all comparisons by one metric: every item is the block x block matrix of one representation of
// list `a` with one of list `b`.
void Executor::compare(const Task& task, TaskContext& context) {
    const auto& payload = task.payload;
    const ProbeLayout layout = probe_layout(payload.at("probe"));
    const MetricInfo& metric = *find_metric(payload.at("metric").get<std::string>());
    const auto& setting = payload.at("setting");
    const std::string site = payload.at("site");
    const bool cross = payload.at("cross");
    const Eigen::Index blocks = job_.geometry.blocks;
    ComparisonOptions options;
    options.permutations = payload.at("permutations");
    options.safe_point = [&] { context.safe_point(); };

    const auto list = [&](const char* key) {
        struct {
            std::vector<Id> representations;
            Eigen::Index blocks;
            bool cross;
            Eigen::Index size() const { return blocks * static_cast<Eigen::Index>(representations.size()); }
            /// Where a block stands: by representation; if only like blocks are compared, by block, so that what is
            /// wanted lies together.
            Eigen::Index place(Eigen::Index representation, Eigen::Index block) const {
                return cross ? representation * blocks + block : block * static_cast<Eigen::Index>(representations.size()) + representation;
            }
            std::vector<Eigen::Index> places(Eigen::Index representation) const {
                std::vector<Eigen::Index> all;
                for (Eigen::Index block = 0; block < blocks; ++block) all.push_back(place(representation, block));
                return all;
            }
        } result{payload.at(key).get<std::vector<Id>>(), blocks, cross};
        return result;
    };
    const auto a = list("a");
    const auto b = list("b");
    const auto source = [&](const auto& of) {
        return [&](Eigen::Index place) {
            const auto count = static_cast<Eigen::Index>(of.representations.size());
            const Eigen::Index representation = cross ? place / blocks : place % count;
            return prepared(metric, setting, of.representations[static_cast<std::size_t>(representation)], site,
                            cross ? place % blocks : place / count, layout, options.safe_point);
        };
    };

    std::set<Id> asked;
    for (const auto& key : task.results) asked.insert(key.id);
    EntryMask wanted = EntryMask::Constant(a.size(), b.size(), false);
    for (const auto& item : payload.at("items")) {
        if (!asked.count(item.at("id").get<Id>())) continue;
        for (Eigen::Index i = 0; i < blocks; ++i) {
            for (Eigen::Index j = 0; j < blocks; ++j) {
                if (cross || i == j) wanted(a.place(item.at("a"), i), b.place(item.at("b"), j)) = true;
            }
        }
    }
    Stopwatch watch;
    const ComparisonResult tile =
        compare_in_tiles(metric, a.size(), source(a), b.size(), source(b), layout, setting, options, wanted, kTileBytes);
    const double seconds = watch.lap() / static_cast<double>(asked.size());
    for (const auto& item : payload.at("items")) {
        const Id id = item.at("id");
        if (!asked.count(id)) continue;
        const ComparisonResult result = tile.part(a.places(item.at("a")), b.places(item.at("b")));
        if (result.value.array().isNaN().all()) {
            context.result(numeric_failure("similarity", id, result.message()));
            continue;
        }
        Record record;
        record.table = "similarity";
        record.id = id;
        record.message = result.message();
        const std::vector<std::int64_t> extents{blocks, blocks};
        record.set("value", extents, row_major(result.value));
        record.set("null_mean", extents, row_major(result.null_mean));
        record.set("null_p95", extents, row_major(result.null_p95));
        record.set("low", extents, row_major(result.low));
        record.set("high", extents, row_major(result.high));
        record.seconds = seconds;
        context.result(std::move(record));
    }
}

}  // namespace cmsweep
