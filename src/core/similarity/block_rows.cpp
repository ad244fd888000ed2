#include "block_rows.hpp"

#include <algorithm>
#include <numeric>

namespace cmsweep {

BlockRows::BlockRows(const Features& features, const SafePoint& safe_point) : features_(features), centre_(column_centre(features, safe_point)) {}

RowBand BlockRows::at(std::span<const Index> numbers, RowMajorMatrix& memory) const {
    const auto count = static_cast<Index>(numbers.size());
    const bool kept = kept_.size() > 0;
    const bool together = std::adjacent_find(numbers.begin(), numbers.end(), [](Index a, Index b) { return b != a + 1; }) == numbers.end();
    if (kept && together && count > 0) return {kept_.row(numbers.front()).data(), count, cols()};
    memory.resize(count, cols());
    for (Index i = 0; i < count; ++i) {
        double* row = memory.data() + i * cols();
        const Index number = numbers[static_cast<std::size_t>(i)];
        if (kept) {
            std::copy_n(kept_.row(number).data(), cols(), row);
        } else {
            centred_row(features_, centre_, number, row);
        }
    }
    return {memory.data(), count, cols()};
}

std::size_t BlockRows::bytes() const {
    return static_cast<std::size_t>(centre_.first.size() + centre_.mean.size() + kept_.size()) * sizeof(double);
}

void for_bands(const BlockRows& x, std::span<const Index> numbers, const SafePoint& safe_point,
               const std::function<void(std::span<const Index>, const RowBand&)>& band) {
    RowMajorMatrix memory;
    for (std::size_t first = 0; first < numbers.size(); first += kBandRows) {
        const auto some = numbers.subspan(first, std::min<std::size_t>(kBandRows, numbers.size() - first));
        if (safe_point) safe_point();
        band(some, x.at(some, memory));
    }
}

Eigen::MatrixXd cross_product(const BlockRows& x, std::span<const Index> rows_x, const BlockRows& y, std::span<const Index> rows_y,
                              const SafePoint& safe_point) {
    Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(x.cols(), y.cols());
    RowMajorMatrix memory;
    std::size_t first = 0;
    for_bands(x, rows_x, safe_point, [&](std::span<const Index> some, const RowBand& of_x) {
        sum.noalias() += of_x.transpose() * y.at(rows_y.subspan(first, some.size()), memory);
        first += some.size();
    });
    return sum;
}

Eigen::VectorXd row_squares(const BlockRows& x, const SafePoint& safe_point) {
    Eigen::VectorXd squares(x.rows());
    for_bands(x, consecutive(0, x.rows()), safe_point, [&](std::span<const Index> some, const RowBand& rows) {
        squares.segment(some.front(), rows.rows()) = rows.rowwise().squaredNorm();
    });
    return squares;
}

std::vector<Index> consecutive(Index first, Index count) {
    std::vector<Index> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    return numbers;
}

}  // namespace cmsweep
