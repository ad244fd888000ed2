#include "window_sums.hpp"

#include <algorithm>
#include <limits>

namespace cmsweep {

WindowSums WindowSums::zero(const ProbeLayout& layout) {
    const Index c = layout.rows_per_window;
    if (c > kLargestWindow) return {};
    return {Eigen::MatrixXd::Zero(c, c), Eigen::MatrixXd::Zero(c, c)};
}

WindowSums window_sums_of_rows(const ProbeLayout& layout, Index k, const std::function<RowMajorMatrix(Index, Index)>& rows) {
    const Index c = layout.rows_per_window;
    WindowSums sums = WindowSums::zero(layout);
    if (sums.within.size() == 0) return sums;
    Eigen::MatrixXd total = Eigen::MatrixXd::Zero(c, k);
    const Index together = std::max<Index>(1, 512 / c);  // windows
    for (Index first = 0; first < layout.windows; first += together) {
        const RowMajorMatrix some = rows(first * c, std::min(together, layout.windows - first) * c);
        for (Index row = 0; row < some.rows(); row += c) {
            const Eigen::MatrixXd z = some.middleRows(row, c);
            const Eigen::MatrixXd transposed = z.transpose();
            sums.within.noalias() += z * transposed;
            total += z;
        }
    }
    const Eigen::MatrixXd transposed = total.transpose();
    sums.between.noalias() = total * transposed;
    sums.between -= sums.within;
    return sums;
}

double mean_over_permutations(const WindowSums& a, const WindowSums& b, const ProbeLayout& layout) {
    if (a.within.size() == 0 || b.within.size() == 0 || layout.windows < 2) {
        return std::numeric_limits<double>::quiet_NaN();
    }
    const double w = static_cast<double>(layout.windows);
    return a.within.cwiseProduct(b.within).sum() / w + a.between.cwiseProduct(b.between).sum() / (w * (w - 1));
}

}  // namespace cmsweep
