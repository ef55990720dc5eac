// GELU and its gradient with the bias before it, on blocks of rows; on plain arrays, without libtorch.
#ifndef SEEDNORM_LAB_NN_CPU_GELU_KERNELS_H_
#define SEEDNORM_LAB_NN_CPU_GELU_KERNELS_H_

#include <cstdint>

#include "seednorm/dtype.h"

namespace seednorm::lab {

enum class Gelu {
  kExact,  // x Phi(x) with the normal distribution Phi, by the error function
  kTanh,   // x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2
};

// in += bias and out = gelu(in), each rounded once: in and out [rows, width], bias [width], all of one dtype
// (float32, float64 or bfloat16).
struct GeluArgs {
  DType dtype;
  Gelu kind;
  int64_t rows, width;
  const void* bias;
  void *in, *out;
};
void gelu_rows(const GeluArgs& args);

// With `in` as above, and the gradient of gelu(in) in `gradient`: out = gelu(in), gradient *= gelu'(in), and
// dbias += the sum of the gradient's rows, in their order, before they are rounded. dbias [width] is float64
// for float64, and float32 for other dtypes.
struct GeluGradientArgs {
  DType dtype;
  Gelu kind;
  int64_t rows, width;
  const void* in;
  void *gradient, *out, *dbias;
};
void gelu_gradient_rows(const GeluGradientArgs& args);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_GELU_KERNELS_H_
