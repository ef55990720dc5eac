// Matrix products of activations that are stored in bfloat16.
//
// A processor without matrix units for bfloat16 (Intel's AMX) multiplies such matrices at half of its speed
// for float32. There, products are computed in float32: rows are widened in tiles that stay in the cache,
// multiplied with the master weights themselves, and rounded once when they are stored.
// lab/nn/cpu/product_choice.h says which processors these are.
#ifndef SEEDNORM_LAB_NN_CPU_PRODUCTS_H_
#define SEEDNORM_LAB_NN_CPU_PRODUCTS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// The dtype in which products of activations in `dtype` are computed on the CPU: see product_choice().
at::ScalarType product_dtype(at::ScalarType dtype);
// The same for these activations on their device; other devices than the CPU have units for every dtype.
at::ScalarType product_dtype(const at::Tensor& x);

// x W^T: x [..., in], W [out, in] float32, or in x's dtype -> [..., out] in x's dtype.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight);

// x W^T + bias for x [..., in], W [out, in] and bias [out] of one dtype -> [..., out]. oneDNN multiplies
// float32 where product_choice() has it; otherwise this is libtorch's linear.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// x w: x [..., D], w [D] of the same dtype -> [...].
at::Tensor dots(const at::Tensor& x, const at::Tensor& w);

// The number of rows of `width` numbers in a tile. A tile has 2 MB, so that two or three fit in a
// second-level cache, but never so few rows that products become slow.
int64_t tile_rows(int64_t width);

// The next number of rows, of few in each octave: oneDNN compiles a kernel for every number of rows of a
// bfloat16 product, which takes longer than the product. From 256 rows on, at most an eighth is added.
int64_t padded_rows(int64_t count);

// The rows of a matrix [R, D] in the dtype of products: either the matrix itself, or copies in a buffer of at
// most `tile` rows. If they are padded, there are padded_rows(count) in place of `count` rows.
class Rows {
 public:
  Rows(const at::Tensor& matrix, at::ScalarType dtype, int64_t tile, bool padded = false);

  // Rows first .. first + count - 1, and zeros if they are padded; valid until the next call.
  at::Tensor read(int64_t first, int64_t count);
  // A tensor to write these rows to; store() then copies them to the matrix if necessary.
  at::Tensor target(int64_t first, int64_t count);
  void store(int64_t first, int64_t count);

 private:
  at::Tensor buffer_rows(int64_t count) const;

  at::Tensor matrix_, buffer_;  // the buffer is undefined if the matrix itself is used
  bool padded_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_PRODUCTS_H_
