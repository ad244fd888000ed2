#include "tile_product.hpp"

#include <algorithm>
#include <cstdint>

#include "in_parallel.hpp"

namespace cmsweep {
namespace {

constexpr Index kRowsAtOnce = 64;  // of both factors: 24 KiB, so that they stay in the first cache
constexpr std::uintptr_t kCacheLine = 64;

/// In registers: 4 columns of b by 3 vectors of a's columns, which keeps 12 sums in flight and fits the 16 registers that
/// AVX2 has. One multiplication and addition of each sum a row, in one rounding where the processor can.
template <int kWidth>
[[gnu::always_inline]] inline void add_products(const double* a, const double* b, Index count, double* sums) {
    typedef double Vector __attribute__((vector_size(kWidth * sizeof(double)), aligned(sizeof(double)), may_alias));
    constexpr int kVectors = 3;
    constexpr int kColumns = 4;
    static_assert(kStripRows % (kVectors * kWidth) == 0 && kStripColumns % kColumns == 0);
    for (Index begin = 0; begin < count; begin += kRowsAtOnce) {
        const Index end = std::min(count, begin + kRowsAtOnce);
        for (Index column = 0; column < kStripColumns; column += kColumns) {
            for (Index row = 0; row < kStripRows; row += kVectors * kWidth) {
                Vector sum[kColumns][kVectors];
                double* out = sums + column * kStripRows + row;
                for (int j = 0; j < kColumns; ++j) {
                    for (int i = 0; i < kVectors; ++i) sum[j][i] = *reinterpret_cast<const Vector*>(out + j * kStripRows + i * kWidth);
                }
                for (Index k = begin; k < end; ++k) {
                    Vector x[kVectors];
                    for (int i = 0; i < kVectors; ++i) x[i] = *reinterpret_cast<const Vector*>(a + k * kStripRows + row + i * kWidth);
                    for (int j = 0; j < kColumns; ++j) {
                        const double y = b[k * kStripRows + column + j];
                        for (int i = 0; i < kVectors; ++i) sum[j][i] += x[i] * y;
                    }
                }
                for (int j = 0; j < kColumns; ++j) {
                    for (int i = 0; i < kVectors; ++i) *reinterpret_cast<Vector*>(out + j * kStripRows + i * kWidth) = sum[j][i];
                }
            }
        }
    }
}

void add_products_anywhere(const double* a, const double* b, Index count, double* sums) { add_products<2>(a, b, count, sums); }

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) void add_products_avx2(const double* a, const double* b, Index count, double* sums) {
    add_products<4>(a, b, count, sums);
}
[[maybe_unused]] __attribute__((target("avx512f"))) void add_products_avx512(const double* a, const double* b, Index count, double* sums) {
    add_products<8>(a, b, count, sums);
}
#endif

}  // namespace

std::vector<TileKernel> tile_kernels() {
    std::vector<TileKernel> kernels{add_products_anywhere};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) kernels.push_back(add_products_avx2);
#if !defined(__SANITIZE_ADDRESS__)
    // AddressSanitizer's stack frames are aligned to 32 bytes at most (GCC bug 110027), spilled vectors of AVX-512 want 64.
    if (__builtin_cpu_supports("avx512f")) kernels.push_back(add_products_avx512);
#endif
#endif
    return kernels;
}

void Panel::reshape(Index rows, Index columns) {
    rows_ = rows;
    const Index numbers = (columns + kStripRows - 1) / kStripRows * kStripRows * rows;
    constexpr Index kLine = kCacheLine / sizeof(double);
    if (numbers_.size() >= numbers + kLine) return;
    numbers_.setZero(numbers + kLine);
    start_ = 0;
    while (reinterpret_cast<std::uintptr_t>(numbers_.data() + start_) % kCacheLine != 0) ++start_;
}

void Panel::interleave(Index row, Index column, const std::array<const double*, kStripColumns>& sources, Index count) {
    double* out = at(row, column);
    constexpr Index kAtOnce = 8;  // a cache line of each source
    for (Index begin = 0; begin < count; begin += kAtOnce) {
        const Index end = std::min(count, begin + kAtOnce);
        for (Index c = 0; c < kStripColumns; ++c) {
            const double* from = sources[static_cast<std::size_t>(c)];
            for (Index k = begin; k < end; ++k) out[k * kStripRows + c] = from ? from[k] : 0;
        }
    }
}

void interleave_rows(const RowMajorMatrix& x, Panel& panel) {
    panel.reshape(x.cols(), x.rows());
    for (Index first = 0; first < x.rows(); first += kStripColumns) {
        std::array<const double*, kStripColumns> rows{};
        for (Index c = 0; c < std::min(kStripColumns, x.rows() - first); ++c) rows[static_cast<std::size_t>(c)] = x.row(first + c).data();
        panel.interleave(0, first, rows, x.cols());
    }
}

void interleave_columns(const RowMajorMatrix& x, Panel& panel) {
    panel.reshape(x.rows(), x.cols());
    for (Index first = 0; first < x.cols(); first += kStripRows) {
        const Index count = std::min(kStripRows, x.cols() - first);
        for (Index row = 0; row < x.rows(); ++row) std::copy_n(x.row(row).data() + first, count, panel.at(row, first));
    }
}

void add_product(const Panel& a, const Panel& b, Index first, Index count, Eigen::Ref<Eigen::MatrixXd> sum) {
    const Index down = (sum.rows() + kStripRows - 1) / kStripRows;
    in_parallel(down * ((sum.cols() + kStripColumns - 1) / kStripColumns), kStripRows * kStripColumns * count, [&](Index strip, int) {
        const Index row = strip % down * kStripRows;
        const Index column = strip / down * kStripColumns;
        auto entries = sum.block(row, column, std::min(kStripRows, sum.rows() - row), std::min(kStripColumns, sum.cols() - column));
        Eigen::Matrix<double, kStripRows, kStripColumns> sums;
        sums.setZero();
        sums.topLeftCorner(entries.rows(), entries.cols()) = entries;
        add_tile_product(a.at(0, row), b.at(0, first + column), count, sums.data());
        entries = sums.topLeftCorner(entries.rows(), entries.cols());
    });
}

void add_tile_product(const double* a, const double* b, Index count, double* sums) {
    static const TileKernel best = tile_kernels().back();
    best(a, b, count, sums);
}

}  // namespace cmsweep
