#include "rows.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>

#include "cmsweep/base/error.hpp"
#include "cmsweep/base/random.hpp"

namespace cmsweep {
namespace {

constexpr Index kRowsAtOnce = 4096;  // between two safe points

}  // namespace

RowOrder::RowOrder(const ProbeLayout& layout, Index batch_rows) {
    if (layout.windows < 1 || layout.rows_per_window < 1) {
        throw std::invalid_argument("probe layout: " + std::to_string(layout.windows) + " windows of " +
                                    std::to_string(layout.rows_per_window) + " rows: expected at least one of each");
    }
    if (!layout.group.empty() && static_cast<std::int64_t>(layout.group.size()) != layout.windows) {
        throw std::invalid_argument("probe layout: " + std::to_string(layout.group.size()) + " groups given for " +
                                    std::to_string(layout.windows) + " windows: expected one a window, or none");
    }
    const Index n = layout.rows();
    const Index batch = batch_rows <= 0 || batch_rows > n ? n : batch_rows;
    const Index used = n / batch * batch;

    const auto label = [&](Index row) {
        return layout.group.empty() ? 0 : layout.group[static_cast<std::size_t>(row / layout.rows_per_window)];
    };
    std::vector<std::int32_t> labels;
    for (Index row = 0; row < used; ++row) {
        if (labels.empty() || labels.back() != label(row)) labels.push_back(label(row));
    }
    std::sort(labels.begin(), labels.end());
    labels.erase(std::unique(labels.begin(), labels.end()), labels.end());

    source.resize(static_cast<std::size_t>(used));
    std::iota(source.begin(), source.end(), Index{0});
    group.resize(source.size());
    group_rows.assign(labels.size(), 0);
    for (Index begin = 0; begin < used; begin += batch) {
        const auto first = source.begin() + begin;
        std::stable_sort(first, first + batch, [&](Index a, Index b) { return label(a) < label(b); });
        RowBatch rows_together{begin, batch, {}, {}};
        for (Index place = begin; place < begin + batch; ++place) {
            const auto found = std::lower_bound(labels.begin(), labels.end(), label(source[place]));
            const int number = static_cast<int>(found - labels.begin());
            group[place] = number;
            ++group_rows[number];
            auto& runs = rows_together.runs;
            if (runs.empty() || runs.back().group != number) runs.push_back({place, 0, number, 0});
            ++runs.back().count;
        }
        for (const auto& run : rows_together.runs) {
            const Index pieces = (run.count + kSegmentRows - 1) / kSegmentRows;
            for (Index piece = 0; piece < pieces; ++piece) {
                const Index from = run.count * piece / pieces;
                const Index count = run.count * (piece + 1) / pieces - from;
                rows_together.segments.push_back({run.begin + from, count, run.group, packed});
                packed += count * (begin + batch - run.begin - from);
            }
        }
        batches.push_back(std::move(rows_together));
    }
}

std::vector<std::vector<std::int64_t>> window_permutations(const ProbeLayout& layout, int count) {
    const std::string key = layout.id.hex();
    Stream stream(0, "permutation", {key});
    std::vector<std::vector<std::int64_t>> permutations;
    for (int i = 0; i < count; ++i) permutations.push_back(stream.permutation(layout.windows));
    return permutations;
}

std::vector<Index> permuted_rows(const ProbeLayout& layout, const std::vector<std::int64_t>& permutation) {
    std::vector<Index> rows(static_cast<std::size_t>(layout.rows()));
    for (Index row = 0; row < layout.rows(); ++row) {
        const Index window = row / layout.rows_per_window;
        rows[row] = permutation[window] * layout.rows_per_window + row % layout.rows_per_window;
    }
    return rows;
}

PlacePermutations::PlacePermutations(const ProbeLayout& layout, const RowOrder& order, int count)
    : layout_(layout), order_(order), windows_(window_permutations(layout, count)),
      place_of_(static_cast<std::size_t>(layout.rows())) {
    if (order.batches.size() != 1 || order.rows() != layout.rows()) {
        throw std::invalid_argument("PlacePermutations: the order is not one batch of all rows");
    }
    for (Index place = 0; place < order.rows(); ++place) place_of_[order.source[place]] = place;
}

std::vector<Index> PlacePermutations::operator[](std::size_t k) const {
    std::vector<Index> places = permuted_rows(layout_, windows_[k]);
    const std::vector<Index> rows = places;
    for (std::size_t place = 0; place < places.size(); ++place) places[place] = place_of_[rows[order_.source[place]]];
    return places;
}

void check_features(const Features& features, const ProbeLayout& layout, const SafePoint& safe_point) {
    if (features.rows() != layout.rows()) {
        throw std::invalid_argument("features have " + std::to_string(features.rows()) + " rows, the probe layout " +
                                    std::to_string(layout.rows()));
    }
    if (features.cols() == 0) throw NumericError("features have no columns: nothing to compare");
    for (Index row = 0; row < features.rows(); ++row) {
        if (safe_point && row % kRowsAtOnce == 0) safe_point();
        for (Index column = 0; column < features.cols(); ++column) {
            if (!std::isfinite(features.row(row)[column])) {
                throw NumericError("feature " + std::to_string(column) + " of row " + std::to_string(row) + " is " +
                                   std::to_string(features.row(row)[column]) + ": expected a finite number");
            }
        }
    }
}

Id features_id(const Features& features, const SafePoint& safe_point) {
    Hasher hasher;
    hasher.add(std::to_string(features.rows()) + "x" + std::to_string(features.cols()) + ":");
    for (Index row = 0; row < features.rows(); row += kRowsAtOnce) {
        if (safe_point) safe_point();
        const Index rows = std::min(kRowsAtOnce, features.rows() - row);
        hasher.add(std::as_bytes(std::span(features.row(row), static_cast<std::size_t>(rows * features.cols()))));
    }
    return hasher.digest();
}

ColumnCentre column_centre(const Features& features, const SafePoint& safe_point) {
    ColumnCentre centre;
    const auto x = features.matrix();
    centre.first = x.row(0).cast<double>();
    centre.mean = Eigen::RowVectorXd::Zero(features.cols());
    for (Index row = 0; row < features.rows(); ++row) {
        if (safe_point && row % kRowsAtOnce == 0) safe_point();
        centre.mean += x.row(row).cast<double>() - centre.first;
    }
    centre.mean /= static_cast<double>(features.rows());
    return centre;
}

void centred_row(const Features& features, const ColumnCentre& centre, Index row, double* out) {
    const float* values = features.row(row);
    const double* first = centre.first.data();
    const double* mean = centre.mean.data();
    const Index columns = features.cols();
    for (Index column = 0; column < columns; ++column) {
        out[column] = (static_cast<double>(values[column]) - first[column]) - mean[column];
    }
}

Index dominant_row(const Eigen::VectorXd& shares, double* share) {
    Index row = 0;
    const double largest = shares.maxCoeff(&row);
    *share = largest / shares.sum();
    return *share > std::max(0.25, 4.0 / static_cast<double>(shares.size())) ? row : -1;
}

std::string dominance_message(Index row, double share) {
    if (row < 0) return "";
    return "row " + std::to_string(row) + " holds " + std::to_string(static_cast<int>(std::round(100 * share))) +
           " % of the variance; the value rests on it";
}

}  // namespace cmsweep
