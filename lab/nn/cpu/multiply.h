// Matrix products whose bits depend on shapes alone: neither on the number of threads nor on where matrices
// begin.
#ifndef SEEDNORM_LAB_NN_CPU_MULTIPLY_H_
#define SEEDNORM_LAB_NN_CPU_MULTIPLY_H_

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/Tensor.h>

#include <algorithm>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/cpu/product_choice.h"
#include "lab/nn/device.h"

namespace seednorm::lab {

// Below, oneDNN takes longer to find its kernel than MKL to multiply float32 matrices (10 microseconds on a
// Zen 5), and MKL takes them whatever the choice.
inline constexpr double kOneDnnFlops = 2e6;

// out = scale a b + keep out for matrices of one dtype, out [M, N], a [M, K], b [K, N], of any strides; with
// keep = 0 it does not matter what out holds. Libraries split long sums among their threads, so on the CPU
// out is cut into tiles whose sizes the shape decides, and each tile is one call of a library on one thread.
// The library of float32 matrices is that of product_choice(). On other devices it is one product of
// libtorch's.
void multiply(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double scale = 1,
              double keep = 0);

// out = a b + bias: bias [N], which is added to each row.
void multiply_with_bias(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                        const at::Tensor& bias);

// Whether multiply() takes oneDNN for these matrices, which libtorch's own products of float32 never do.
bool multiplies_by_onednn(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b);

// multiply() on the calling thread, by this library where the matrices are float32, without tiles.
void multiply_by(Library library, const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                 double scale = 1, double keep = 0);

// The same on the calling thread and without tiles: for one of many products that run in parallel.
void multiply_alone(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, double scale = 1,
                    double keep = 0);

// Calls work(first, count) for blocks of the rows of `matrix` [R, D], in parallel, with libraries on one
// thread; on other devices than the CPU once for all rows. The blocks depend on R and D alone: elementwise
// operations of libtorch may give other bits where a block ends.
template <class Work>
void for_row_blocks(const at::Tensor& matrix, const Work& work) {
  const int64_t rows = matrix.size(0), row_numbers = matrix.size(1);
  if (!uses_cpu_kernels(matrix)) return work(int64_t{0}, rows);
  constexpr int64_t kBlockNumbers = 65536;  // tens of microseconds of the cheapest operation
  const int64_t block = std::max<int64_t>(kBlockNumbers / std::max<int64_t>(row_numbers, 1), 1);
  parallel_for(0, (rows + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) work(i * block, std::min(block, rows - i * block));
  });
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_MULTIPLY_H_
