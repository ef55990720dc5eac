// Products of a few rows and attention over cached keys and values, for one step of generation, and SwiGLU's
// gate; on plain arrays, without libtorch.
#ifndef SEEDNORM_LAB_NN_CPU_ROW_KERNELS_H_
#define SEEDNORM_LAB_NN_CPU_ROW_KERNELS_H_

#include <cstdint>

#include "seednorm/dtype.h"

namespace seednorm::lab {

// y[m, n] = sum_d x[m, d] w[n, d] for all m and begin <= n < end: x [rows, dim], w [N, dim], y [rows, N], all
// contiguous and of one dtype (float32 or bfloat16). Sums are float32, in an order that depends only on
// `dim`, so that neither the other rows nor the choice of begin and end change a result.
struct ProductArgs {
  DType dtype;
  const void *x, *w;
  void* y;
  int64_t rows, dim, num_outputs;
};
void multiply_rows(const ProductArgs& args, int64_t begin, int64_t end);

// out[i] = silu(gate[i]) up[i] for begin <= i < end, of one dtype (float32 or bfloat16), rounded once. An
// element's result does not depend on its position (ATen's depends on whether it is in a whole vector).
struct GateArgs {
  DType dtype;
  const void *gate, *up;
  void* out;
};
void gate_elements(const GateArgs& args, int64_t begin, int64_t end);

// The gradients of gate and up from that of out, of one dtype, each rounded once: dup[i] = silu(gate[i])
// dout[i], dgate[i] = dout[i] up[i] silu'(gate[i]). Each array of gradients may be any of the inputs.
struct GateGradientArgs {
  DType dtype;
  const void *gate, *up, *dout;
  void *dgate, *dup;
};
void gate_gradients(const GateGradientArgs& args, int64_t begin, int64_t end);

// Attention of `group` queries that share keys and values, at a position that attends to `length` tokens:
// out[g] = sum_s softmax_s(scale q[g] . k[s]) v[s] for s < length. q and out [group, width], k and v [length,
// width], contiguous and of one dtype (float32 or bfloat16); scores holds group * length floats and is
// overwritten. Sums are float32, in an order that depends only on width and length.
struct AttendArgs {
  DType dtype;
  const void *q, *k, *v;
  void* out;
  float* scores;
  int64_t group, width, length;
  float scale;
};
void attend_rows(const AttendArgs& args);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_CPU_ROW_KERNELS_H_
