#include "lab/nn/cpu/few_rows.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <vector>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/row_kernels.h"
#include "lab/nn/device.h"
#include "lab/nn/dtype.h"

namespace seednorm::lab {

using at::Tensor;

namespace {

// The minimum number of elements of the matrix, or of the gate, per thread: with fewer, waking the threads
// costs more than it saves.
constexpr int64_t kThreadElements = 32768;

}  // namespace

bool are_few_rows(const Tensor& x, const Tensor& weight) {
  return !at::GradMode::is_enabled() && x.numel() <= kFewRows * x.size(-1) && uses_cpu_kernels(x) &&
         (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16) &&
         x.scalar_type() == weight.scalar_type();
}

Tensor few_rows_product(const Tensor& x, const Tensor& weight) {
  require_cpu("product of few rows", {x, weight});
  const Tensor in = x.contiguous(), matrix = weight.contiguous();
  const int64_t dim = weight.size(1), outputs = weight.size(0);
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = outputs;
  const Tensor y = at::empty(shape, x.options());
  const ProductArgs args = {
      .dtype = dtype_of(x),
      .x = in.const_data_ptr(),
      .w = matrix.const_data_ptr(),
      .y = y.mutable_data_ptr(),
      .rows = x.numel() / dim,
      .dim = dim,
      .num_outputs = outputs,
  };
  parallel_for(0, outputs, std::max<int64_t>(kThreadElements / dim, 1),
               [&](int64_t begin, int64_t end) { multiply_rows(args, begin, end); });
  return y;
}

Tensor few_rows_gated(const Tensor& gate, const Tensor& up) {
  require_cpu("gate of few rows", {gate, up});
  const Tensor g = gate.contiguous(), u = up.contiguous(), out = at::empty_like(g);
  const GateArgs args = {.dtype = dtype_of(g),
                         .gate = g.const_data_ptr(),
                         .up = u.const_data_ptr(),
                         .out = out.mutable_data_ptr()};
  parallel_for(0, out.numel(), kThreadElements,
               [&](int64_t begin, int64_t end) { gate_elements(args, begin, end); });
  return out;
}

}  // namespace seednorm::lab
