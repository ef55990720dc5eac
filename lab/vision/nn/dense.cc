#include "lab/vision/nn/dense.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "lab/nn/cpu/products.h"

namespace seednorm::lab {

Dense::Dense(int64_t in, int64_t out)
    : weight(register_parameter("weight", at::empty({out, in}))),
      bias(register_parameter("bias", at::zeros({out}))) {}

at::Tensor Dense::forward(const at::Tensor& x) const {
  if (x.scalar_type() == weight.scalar_type()) return linear(x, weight, bias);
  return product(x, weight) + bias.to(x.scalar_type());
}

}  // namespace seednorm::lab
