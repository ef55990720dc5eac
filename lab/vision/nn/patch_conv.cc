#include "lab/vision/nn/patch_conv.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/nn/cpu/products.h"

namespace seednorm::lab {

using at::Tensor;

Tensor patches_of(const Tensor& x, int64_t patch) {
  const int64_t n = x.size(0), rows = x.size(1) / patch, columns = x.size(2) / patch, channels = x.size(3);
  return x.narrow(1, 0, rows * patch)
      .narrow(2, 0, columns * patch)
      .reshape({n, rows, patch, columns, patch, channels})
      .transpose(2, 3)
      .reshape({n, rows, columns, patch * patch * channels});
}

PatchConv::PatchConv(int64_t in, int64_t out, int64_t patch)
    : weight(register_parameter("weight", at::empty({out, in, patch, patch}))),
      bias(register_parameter("bias", at::zeros({out}))),
      patch_(patch) {}

Tensor PatchConv::forward(const Tensor& x) const {
  const Tensor rows = patches_of(x, patch_);
  const Tensor matrix = weight.permute({0, 2, 3, 1}).reshape({weight.size(0), -1});
  if (x.scalar_type() == weight.scalar_type()) return linear(rows, matrix, bias);
  return product(rows, matrix) + bias.to(x.scalar_type());
}

}  // namespace seednorm::lab
