#include "lab/nn/gelu_mlp.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/multiply.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/cpu/products.h"
#include "lab/nn/device.h"
#include "lab/nn/dtype.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Rows of a tile that a thread takes at once.
constexpr int64_t kBlockRows = 64;
int64_t num_blocks(int64_t rows) { return (rows + kBlockRows - 1) / kBlockRows; }

// Calls work(i, block) for the blocks of kBlockRows rows of a tile, in parallel.
template <class Work>
void for_blocks(int64_t rows, const Work& work) {
  parallel_for(0, num_blocks(rows), 1, [&](int64_t begin, int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView no_graph;
    const OneThread alone;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i * kBlockRows;
      work(i, first, std::min(kBlockRows, rows - first));
    }
  });
}

// out = a b + keep out. MKL's own threads multiply whole float32 matrices faster than tiles of them (by a
// tenth in a ViT-B), and one tile is all rows then.
void times(const Tensor& out, const Tensor& a, const Tensor& b, double keep = 0) {
  if (out.scalar_type() == at::kBFloat16 || multiplies_by_onednn(out, a, b)) {
    return multiply(out, a, b, 1, keep);
  }
  const at::AutoDispatchBelowADInplaceOrView no_graph;
  Tensor o = out;
  if (keep == 0) {
    at::mm_out(o, a, b);
  } else {
    at::addmm_out(o, o, a, b, keep);
  }
}

// out = a b + bias.
void times_with_bias(const Tensor& out, const Tensor& a, const Tensor& b, const Tensor& bias) {
  if (multiplies_by_onednn(out, a, b)) return multiply_with_bias(out, a, b, bias);
  times(out.copy_(bias.expand_as(out)), a, b, /*keep=*/1);
}

// Rows that are converted, or multiplied as bfloat16, are taken in tiles that stay in the cache.
int64_t tile_of(const Tensor& x, const Tensor& up) {
  const bool whole = x.scalar_type() == up.scalar_type() && up.scalar_type() != at::kBFloat16;
  return whole ? std::max<int64_t>(x.size(0), 1) : tile_rows(up.size(0));
}

// in += bias, h = gelu(in).
void gelu_tile(const Tensor& h, const Tensor& in, const Tensor& bias, Gelu kind) {
  for_blocks(h.size(0), [&](int64_t, int64_t first, int64_t count) {
    gelu_rows({.dtype = dtype_of(h),
               .kind = kind,
               .rows = count,
               .width = h.size(1),
               .bias = bias.const_data_ptr(),
               .in = in.narrow(0, first, count).mutable_data_ptr(),
               .out = h.narrow(0, first, count).mutable_data_ptr()});
  });
}

// Sums of the rows of the gradient before gelu, and of that of the output.
struct BiasGradients {
  Tensor up, down;
};
// h = gelu(in), gradient *= gelu'(in). Adds to the sums those of the gradient's rows and of dout's, which do
// not depend on the number of threads: a block is summed by itself, and the blocks in their order.
void gelu_tile_backward(const Tensor& h, const Tensor& gradient, const Tensor& in, const Tensor& dout,
                        Gelu kind, const BiasGradients& out) {
  const int64_t blocks = num_blocks(h.size(0));
  const Tensor up = at::zeros({blocks, h.size(1)}, out.up.options()),
               down = at::empty({blocks, dout.size(1)}, out.up.options());
  for_blocks(h.size(0), [&](int64_t i, int64_t first, int64_t count) {
    const auto rows = [&](const Tensor& t) { return t.narrow(0, first, count); };
    gelu_gradient_rows({.dtype = dtype_of(h),
                        .kind = kind,
                        .rows = count,
                        .width = h.size(1),
                        .in = rows(in).const_data_ptr(),
                        .gradient = rows(gradient).mutable_data_ptr(),
                        .out = rows(h).mutable_data_ptr(),
                        .dbias = up[i].mutable_data_ptr()});
    Tensor sum = down[i];
    at::sum_out(sum, rows(dout), {0}, /*keepdim=*/false, sum.scalar_type());
  });
  const OneThread alone;
  Tensor(out.up).add_(up.sum(0));
  Tensor(out.down).add_(down.sum(0));
}

// x [R, D], weights in the dtype of products.
struct GeluMlpFunction : torch::autograd::Function<GeluMlpFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& up, const Tensor& up_bias,
                        const Tensor& down, const Tensor& down_bias, bool is_tanh, bool keeps) {
    const int64_t hidden = up.size(0), tile = tile_of(x, up), most = std::min(tile, x.size(0));
    const at::ScalarType dtype = up.scalar_type();
    const Gelu kind = is_tanh ? Gelu::kTanh : Gelu::kExact;
    const Tensor in = keeps ? at::empty({x.size(0), hidden}, x.options()) : Tensor();
    Tensor y = at::empty_like(x);
    const Tensor buffers = at::empty({keeps ? 1 : 2, most, hidden}, up.options());
    Rows x_rows(x, dtype, tile), y_rows(y, dtype, tile);
    std::optional<Rows> in_rows;
    if (keeps) in_rows.emplace(in, dtype, tile);
    for (int64_t first = 0; first < x.size(0); first += tile) {
      const int64_t count = std::min(tile, x.size(0) - first);
      const Tensor h = buffers[0].narrow(0, 0, count);
      const Tensor in_tile = keeps ? in_rows->target(first, count) : buffers[1].narrow(0, 0, count);
      times(in_tile, x_rows.read(first, count), up.t());
      gelu_tile(h, in_tile, up_bias, kind);
      if (keeps) in_rows->store(first, count);
      times_with_bias(y_rows.target(first, count), h, down.t(), down_bias);
      y_rows.store(first, count);
    }
    ctx->save_for_backward({x, up, down, in});
    ctx->saved_data["tanh"] = is_tanh;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &up = saved[1], &down = saved[2];
    const Gelu kind = ctx->saved_data["tanh"].toBool() ? Gelu::kTanh : Gelu::kExact;
    const int64_t hidden = up.size(0), tile = tile_of(x, up), most = std::min(tile, x.size(0));
    const at::ScalarType dtype = up.scalar_type();
    const Tensor dy = grads[0].contiguous(), dx = at::empty_like(x);
    const Tensor dup = x.size(0) > 0 ? at::empty_like(up) : at::zeros_like(up),
                 ddown = x.size(0) > 0 ? at::empty_like(down) : at::zeros_like(down);
    const auto sums = up.options().dtype(dtype == at::kDouble ? at::kDouble : at::kFloat);
    const BiasGradients biases = {at::zeros({hidden}, sums), at::zeros({x.size(1)}, sums)};
    const Tensor buffers = at::empty({2, most, hidden}, up.options());
    Rows x_rows(x, dtype, tile), in_rows(saved[3], dtype, tile), dy_rows(dy, dtype, tile),
        dx_rows(dx, dtype, tile);
    for (int64_t first = 0; first < x.size(0); first += tile) {
      const int64_t count = std::min(tile, x.size(0) - first);
      const Tensor dout = dy_rows.read(first, count);
      const Tensor h = buffers[0].narrow(0, 0, count), gradient = buffers[1].narrow(0, 0, count);
      times(gradient, dout, down);
      gelu_tile_backward(h, gradient, in_rows.read(first, count), dout, kind, biases);
      times(ddown, dout.t(), h, /*keep=*/first == 0 ? 0 : 1);
      times(dup, gradient.t(), x_rows.read(first, count), /*keep=*/first == 0 ? 0 : 1);
      times(dx_rows.target(first, count), gradient, up);
      dx_rows.store(first, count);
    }
    return {dx, dup, biases.up.to(dtype), ddown, biases.down.to(dtype), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor gelu_mlp(const Tensor& x, const GeluMlpWeights& w, Gelu kind) {
  const at::ScalarType dtype = product_dtype(x);
  const Tensor up = w.up.to(dtype), up_bias = w.up_bias.to(dtype), down = w.down.to(dtype),
               down_bias = w.down_bias.to(dtype);
  if (!uses_cpu_kernels(x)) {
    const Tensor h = at::gelu(at::linear(x, up, up_bias), kind == Gelu::kExact ? "none" : "tanh");
    return at::linear(h, down, down_bias);
  }
  const Tensor rows = x.reshape({-1, x.size(-1)}).contiguous();
  return GeluMlpFunction::apply(rows, up, up_bias, down, down_bias, kind == Gelu::kTanh,
                                at::GradMode::is_enabled())
      .view_as(x);
}

}  // namespace seednorm::lab
