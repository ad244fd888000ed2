#include "probe_data.hpp"

#include <Eigen/QR>

namespace cmsweep {

Eigen::MatrixXd orthogonal(Stream& stream, Eigen::Index p) {
    Eigen::MatrixXd numbers(p, p);
    for (Eigen::Index i = 0; i < p * p; ++i) numbers.data()[i] = stream.normal();
    return Eigen::HouseholderQR<Eigen::MatrixXd>(numbers).householderQ();
}

}  // namespace cmsweep
