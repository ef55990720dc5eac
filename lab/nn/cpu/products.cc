#include "lab/nn/cpu/products.h"

#include <ATen/Functions.h>
#include <ATen/cpu/Utils.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cstdlib>

#include "lab/nn/cpu/few_rows.h"

namespace seednorm::lab {
namespace {

// Without a reproducible mode, MKL's products depend on the alignment of memory on AMD's processors. MKL
// reads the mode at its first call, so it is set before main; a user's choice is kept.
[[gnu::constructor]] void choose_reproducible_mode() { ::setenv("MKL_CBWR", "AUTO", /*overwrite=*/0); }

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t kTileNumbers = int64_t{1} << 19;
constexpr int64_t kMinTileRows = 256;

struct WideProduct : torch::autograd::Function<WideProduct> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& weight) {
    const Tensor in = x.reshape({-1, weight.size(1)});
    Tensor out = at::empty({in.size(0), weight.size(0)}, x.options());
    const int64_t tile = tile_rows(weight.size(0));
    Rows in_rows(in, weight.scalar_type(), tile), out_rows(out, weight.scalar_type(), tile);
    for (int64_t first = 0; first < in.size(0); first += tile) {
      const int64_t count = std::min(tile, in.size(0) - first);
      Tensor y = out_rows.target(first, count);
      at::mm_out(y, in_rows.read(first, count), weight.t());
      out_rows.store(first, count);
    }
    ctx->save_for_backward({in, weight});
    std::vector<int64_t> shape = x.sizes().vec();
    shape.back() = weight.size(0);
    return out.view(shape);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const Tensor &in = saved[0], &weight = saved[1];
    const Tensor dout = grads[0].reshape({-1, weight.size(0)});
    Tensor din = at::empty_like(in), dweight = at::zeros_like(weight);
    const int64_t tile = tile_rows(weight.size(0));
    Rows in_rows(in, weight.scalar_type(), tile), din_rows(din, weight.scalar_type(), tile),
        dout_rows(dout, weight.scalar_type(), tile);
    for (int64_t first = 0; first < in.size(0); first += tile) {
      const int64_t count = std::min(tile, in.size(0) - first);
      const Tensor dy = dout_rows.read(first, count);
      Tensor dx = din_rows.target(first, count);
      at::mm_out(dx, dy, weight);
      din_rows.store(first, count);
      dweight.addmm_(dy.t(), in_rows.read(first, count));
    }
    std::vector<int64_t> shape = grads[0].sizes().vec();
    shape.back() = weight.size(1);
    return {din.view(shape), dweight};
  }
};

}  // namespace

at::ScalarType product_dtype(at::ScalarType dtype) {
  // This depends on the processor's features and not on a measurement, since a run must be the same each
  // time.
  static const bool kWidens = [] {
    const auto has = at::cpu::get_cpu_capabilities();
    const auto units = has.find("amx_bf16");  // not there on other architectures, which nothing is known of
    return units != has.end() && !units->second.toBool();
  }();
  return dtype == at::kBFloat16 && kWidens ? at::kFloat : dtype;
}

Tensor product(const Tensor& x, const Tensor& weight) {
  if (are_few_rows(x, weight)) return few_rows_product(x, weight);
  const at::ScalarType dtype = product_dtype(x.scalar_type());
  if (dtype == x.scalar_type()) return at::linear(x, weight.to(dtype));
  return WideProduct::apply(x, weight);
}

int64_t tile_rows(int64_t width) { return std::max(kTileNumbers / width, kMinTileRows); }

Rows::Rows(const Tensor& matrix, at::ScalarType dtype, int64_t tile) : matrix_(matrix) {
  if (matrix.scalar_type() == dtype) return;
  buffer_ = at::empty({std::min(tile, matrix.size(0)), matrix.size(1)}, matrix.options().dtype(dtype));
}

Tensor Rows::read(int64_t first, int64_t count) {
  const Tensor own = matrix_.narrow(0, first, count);
  return buffer_.defined() ? buffer_.narrow(0, 0, count).copy_(own) : own;
}

Tensor Rows::target(int64_t first, int64_t count) {
  return buffer_.defined() ? buffer_.narrow(0, 0, count) : matrix_.narrow(0, first, count);
}

void Rows::store(int64_t first, int64_t count) {
  if (buffer_.defined()) matrix_.narrow(0, first, count).copy_(buffer_.narrow(0, 0, count));
}

}  // namespace seednorm::lab
