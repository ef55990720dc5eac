// Matrix products of activations that are kept in bfloat16.
//
// A processor without matrix units for bfloat16 (Intel's AMX) multiplies such matrices at half of its speed
// for float32. There, products are taken in float32: rows are widened in tiles that stay in the cache,
// multiplied with the master weights themselves, and rounded once when they are stored.
#ifndef SEEDNORM_LAB_NN_CPU_PRODUCTS_H_
#define SEEDNORM_LAB_NN_CPU_PRODUCTS_H_

#include <ATen/core/Tensor.h>

namespace seednorm::lab {

// The dtype in which products of activations in `dtype` are taken on this machine.
at::ScalarType product_dtype(at::ScalarType dtype);

// x W^T: x [..., in], W [out, in] float32, or in x's dtype -> [..., out] in x's dtype.
at::Tensor product(const at::Tensor& x, const at::Tensor& weight);

// As many rows of `width` numbers as a tile has: 2 MB, so that two or three stay in a second-level cache, and
// never so few that products become slow.
int64_t tile_rows(int64_t width);

// Rows of a matrix [R, D] in the dtype of products: the matrix's own, or copies in a buffer of at most `tile`
// rows.
class Rows {
 public:
  Rows(const at::Tensor& matrix, at::ScalarType dtype, int64_t tile);

  // Rows first .. first + count - 1, to be read until the next call.
  at::Tensor read(int64_t first, int64_t count);
  // Where these rows are to be written; store() makes them the matrix's.
  at::Tensor target(int64_t first, int64_t count);
  void store(int64_t first, int64_t count);

 private:
  at::Tensor matrix_, buffer_;  // no buffer: the matrix has the dtype
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_PRODUCTS_H_
