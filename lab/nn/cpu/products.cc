#include "lab/nn/cpu/products.h"

#include <ATen/Functions.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "lab/nn/cpu/few_rows.h"
#include "lab/nn/cpu/multiply.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTileNumbers = int64_t{1} << 19;
constexpr int64_t kMinTileRows = 256;

// Rows [R, N] in the shape of x [..., D], but for its width: [..., N].
Tensor shaped_as(const Tensor& x, const Tensor& rows) {
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = rows.size(1);
  return rows.view(shape);
}

// x W^T with both matrices in the weight's dtype, whatever that of x is.
struct ProductFunction : torch::autograd::Function<ProductFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight) {
    const Tensor in = x.reshape({-1, weight.size(1)});
    Tensor out = at::empty({in.size(0), weight.size(0)}, x.options());
    const int64_t tile = tile_of(in, weight);
    Rows in_rows(in, weight.scalar_type(), tile), out_rows(out, weight.scalar_type(), tile);
    for (int64_t first = 0; first < in.size(0); first += tile) {
      const int64_t count = std::min(tile, in.size(0) - first);
      multiply(out_rows.target(first, count), in_rows.read(first, count), weight.t());
      out_rows.store(first, count);
    }
    ctx->save_for_backward({in, weight});
    return shaped_as(x, out);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const Tensor dout = grads[0].reshape({-1, weight.size(0)});
    const bool wants_dx = ctx->needs_input_grad(0), wants_dweight = ctx->needs_input_grad(1);
    const Tensor din = wants_dx ? at::empty_like(in) : Tensor();
    Tensor dweight;
    if (wants_dweight) dweight = in.size(0) > 0 ? at::empty_like(weight) : at::zeros_like(weight);
    const int64_t tile = tile_of(in, weight);
    Rows in_rows(in, weight.scalar_type(), tile), dout_rows(dout, weight.scalar_type(), tile);
    std::optional<Rows> din_rows;
    if (wants_dx) din_rows.emplace(din, weight.scalar_type(), tile);
    for (int64_t first = 0; first < in.size(0); first += tile) {
      const int64_t count = std::min(tile, in.size(0) - first);
      const Tensor dy = dout_rows.read(first, count);
      if (wants_dx) {
        multiply(din_rows->target(first, count), dy, weight);
        din_rows->store(first, count);
      }
      if (wants_dweight) {
        multiply(dweight, dy.t(), in_rows.read(first, count), /*scale=*/1, /*keep=*/first == 0 ? 0 : 1);
      }
    }
    return {wants_dx ? shaped_as(grads[0], din) : Tensor(), dweight};
  }

 private:
  // Tiles are for rows that are converted.
  static int64_t tile_of(const Tensor& in, const Tensor& weight) {
    const bool converts = in.scalar_type() != weight.scalar_type();
    return converts ? tile_rows(weight.size(0)) : std::max<int64_t>(in.size(0), 1);
  }
};

// Sums of columns [R, D] -> [D], whose bits do not depend on the number of threads.
Tensor column_sums(const Tensor& rows) {
  std::vector<std::pair<int64_t, Tensor>> sums;
  std::mutex guard;
  for_row_blocks(rows, [&](int64_t first, int64_t count) {
    const Tensor sum = rows.narrow(0, first, count).sum(0);
    const std::lock_guard lock(guard);
    sums.emplace_back(first, sum);
  });
  std::sort(sums.begin(), sums.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  Tensor out = at::zeros({rows.size(1)}, rows.options());
  for (const auto& [first, sum] : sums) out.add_(sum);
  return out;
}

// x W^T + bias, all of one dtype.
struct LinearFunction : torch::autograd::Function<LinearFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Tensor in = x.reshape({-1, weight.size(1)});
    const Tensor out = at::empty({in.size(0), weight.size(0)}, x.options());
    multiply_with_bias(out, in, weight.t(), bias);
    ctx->save_for_backward({in, weight});
    return shaped_as(x, out);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const Tensor dout = grads[0].reshape({-1, weight.size(0)}).contiguous();
    Tensor din, dweight, dbias;
    if (ctx->needs_input_grad(0)) multiply(din = at::empty(in.sizes(), in.options()), dout, weight);
    if (ctx->needs_input_grad(1))
      multiply(dweight = at::empty(weight.sizes(), weight.options()), dout.t(), in);
    if (ctx->needs_input_grad(2)) dbias = column_sums(dout);
    return {din.defined() ? shaped_as(grads[0], din) : din, dweight, dbias};
  }
};

// x w: [R, D], [D] -> [R], one sum for each row.
struct DotsFunction : torch::autograd::Function<DotsFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& w) {
    const OneThread alone;
    ctx->save_for_backward({x, w});
    return at::mv(x, w);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const OneThread alone;
    const variable_list saved = ctx->get_saved_variables();
    return {grads[0].unsqueeze(1) * saved[1], at::mv(saved[0].t(), grads[0])};
  }
};

}  // namespace

at::ScalarType product_dtype(at::ScalarType dtype) {
  return dtype == at::kBFloat16 && product_choice().widen_bfloat16 ? at::kFloat : dtype;
}

at::ScalarType product_dtype(const Tensor& x) {
  return uses_cpu_kernels(x) ? product_dtype(x.scalar_type()) : x.scalar_type();
}

Tensor product(const Tensor& x, const Tensor& weight) {
  if (are_few_rows(x, weight)) return few_rows_product(x, weight);
  const at::ScalarType dtype = product_dtype(x);
  return ProductFunction::apply(x, dtype == x.scalar_type() ? weight.to(dtype) : weight);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  const bool by_onednn = uses_cpu_kernels(x) && x.scalar_type() == at::kFloat && x.numel() > 0 &&
                         product_choice().library(ProductKind::kForward) == Library::kOneDnn;
  return by_onednn ? LinearFunction::apply(x, weight, bias) : at::linear(x, weight, bias);
}

Tensor dots(const Tensor& x, const Tensor& w) {
  return DotsFunction::apply(x.reshape({-1, w.numel()}), w).view(x.sizes().slice(0, x.dim() - 1));
}

int64_t tile_rows(int64_t width) { return std::max(kTileNumbers / width, kMinTileRows); }

int64_t padded_rows(int64_t count) {
  constexpr int64_t kLeast = 32;
  const auto octave =
      static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(std::max<int64_t>(count, 1))));
  const int64_t step = std::max(kLeast, octave / 8);
  return (count + step - 1) / step * step;
}

Rows::Rows(const Tensor& matrix, at::ScalarType dtype, int64_t tile, bool padded)
    : matrix_(matrix), padded_(padded) {
  if (matrix.scalar_type() == dtype && !padded) return;
  const int64_t most = std::min(tile, matrix.size(0));
  buffer_ = at::empty({padded ? padded_rows(most) : most, matrix.size(1)}, matrix.options().dtype(dtype));
}

Tensor Rows::buffer_rows(int64_t count) const {
  return buffer_.narrow(0, 0, padded_ ? padded_rows(count) : count);
}

Tensor Rows::read(int64_t first, int64_t count) {
  const Tensor own = matrix_.narrow(0, first, count);
  if (!buffer_.defined()) return own;
  const Tensor out = buffer_rows(count);
  out.narrow(0, 0, count).copy_(own);
  if (padded_) out.narrow(0, count, out.size(0) - count).zero_();
  return out;
}

Tensor Rows::target(int64_t first, int64_t count) {
  return buffer_.defined() ? buffer_rows(count) : matrix_.narrow(0, first, count);
}

void Rows::store(int64_t first, int64_t count) {
  if (buffer_.defined()) matrix_.narrow(0, first, count).copy_(buffer_.narrow(0, 0, count));
}

}  // namespace seednorm::lab
