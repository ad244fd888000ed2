#include "assignment.hpp"

#include <limits>
#include <numeric>
#include <stdexcept>

#include "cmsweep/base/error.hpp"

namespace cmsweep {
namespace {

constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// Minimises the sum of costs; `cost` is row-major, so that a row lies in one piece.
class ShortestPaths {
public:
    using Costs = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

    explicit ShortestPaths(const Costs& cost)
        : cost_(cost), size_(static_cast<std::size_t>(cost.rows())), row_price_(size_), column_price_(size_), column_of_(size_, kNone),
          row_of_(size_, kNone), distance_(size_), reached_from_(size_) {}

    std::vector<std::size_t> solve(const std::function<void()>& safe_point) {
        for (std::size_t row = 0; row < size_; ++row) {
            safe_point();
            augment(row);
        }
        return column_of_;
    }

private:
    /// Finds the shortest path, in reduced costs, from an unassigned row to an unassigned column, and flips it.
    void augment(std::size_t start) {
        std::vector<std::size_t> open(size_), closed_rows{start};
        std::iota(open.begin(), open.end(), std::size_t{0});
        std::fill(distance_.begin(), distance_.end(), kInfinity);
        std::vector<std::size_t> closed_columns;
        std::size_t row = start, sink = kNone;
        double reached = 0;
        while (sink == kNone) {
            const double* const costs = cost_.data() + row * size_;
            const double offset = reached - row_price_[row];
            std::size_t nearest = 0;
            double shortest = kInfinity;
            for (std::size_t place = 0; place < open.size(); ++place) {
                const std::size_t column = open[place];
                const double through = offset + costs[column] - column_price_[column];
                if (through < distance_[column]) {
                    distance_[column] = through;
                    reached_from_[column] = row;
                }
                // Among equals an unassigned column ends the search at once.
                if (distance_[column] < shortest || (distance_[column] == shortest && row_of_[column] == kNone)) {
                    shortest = distance_[column];
                    nearest = place;
                }
            }
            reached = shortest;
            const std::size_t column = open[nearest];
            open[nearest] = open.back();
            open.pop_back();
            closed_columns.push_back(column);
            if (row_of_[column] == kNone) {
                sink = column;
            } else {
                row = row_of_[column];
                closed_rows.push_back(row);
            }
        }
        // Prices move so that reduced costs stay >= 0, and 0 along the path.
        row_price_[start] += reached;
        for (const std::size_t closed : closed_rows)
            if (closed != start) row_price_[closed] += reached - distance_[column_of_[closed]];
        for (const std::size_t column : closed_columns) column_price_[column] -= reached - distance_[column];
        for (std::size_t column = sink;;) {
            const std::size_t from = reached_from_[column];
            row_of_[column] = from;
            std::swap(column_of_[from], column);
            if (from == start) return;
        }
    }

    const Costs& cost_;
    std::size_t size_;
    std::vector<double> row_price_, column_price_;
    std::vector<std::size_t> column_of_, row_of_;
    std::vector<double> distance_;            ///< of each column from the start row, in reduced costs
    std::vector<std::size_t> reached_from_;   ///< last row of the path to each column
};

}  // namespace

double assignment_value(const Eigen::MatrixXd& gain, const std::vector<std::size_t>& column) {
    double sum = 0;
    for (std::size_t row = 0; row < column.size(); ++row)
        sum += gain(static_cast<Eigen::Index>(row), static_cast<Eigen::Index>(column[row]));
    return sum;
}

std::vector<std::size_t> best_assignment(const Eigen::MatrixXd& gain, const std::function<void()>& safe_point) {
    if (gain.rows() != gain.cols()) throw std::invalid_argument("best_assignment: the matrix of gains is not square");
    if (!gain.allFinite()) throw NumericError("best_assignment: a gain is not finite");
    std::vector<std::size_t> own(static_cast<std::size_t>(gain.rows()));
    std::iota(own.begin(), own.end(), std::size_t{0});
    const auto best = ShortestPaths(-gain).solve(safe_point);
    const double rounding = 1e-12 * gain.diagonal().cwiseAbs().sum();
    return assignment_value(gain, best) > assignment_value(gain, own) + rounding ? best : own;
}

}  // namespace cmsweep
