#include "lab/language/nn/rope.h"

#include <ATen/Dispatch.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/module.h>

#include <algorithm>
#include <stdexcept>

#include "lab/base/parallel.h"
#include "lab/nn/device.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// One token's heads: (a, b) -> (a cos - b sin, b cos + a sin); `sign` -1 turns back.
template <class T>
void rotate_token(const T* x, T* y, const float* cos, const float* sin, float sign, int64_t heads,
                  int64_t half) {
  for (int64_t h = 0; h < heads; ++h, x += 2 * half, y += 2 * half) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = static_cast<float>(x[i]), b = static_cast<float>(x[half + i]);
      y[i] = static_cast<T>(a * cos[i] - sign * b * sin[i]);
      y[half + i] = static_cast<T>(b * cos[i] + sign * a * sin[i]);
    }
  }
}

// The same for all tokens of x [B, T, H, d] in plain tensors. cos and sin are of every position.
Tensor rotate_plain(const Tensor& x, const Tensor& cos, const Tensor& sin, double sign,
                    const std::vector<int64_t>& first) {
  const int64_t length = x.size(1), half = x.size(3) / 2;
  const auto of_tokens = [&](const Tensor& table) {  // [1 or B, T, 1, half]
    if (first.empty()) return table.narrow(0, 0, length).view({1, length, 1, half});
    const auto options = at::TensorOptions(at::kLong).device(table.device());
    const Tensor positions = at::tensor(first, options).unsqueeze(1) + at::arange(length, options);
    return table.index({positions}).unsqueeze(2);
  };
  const Tensor c = of_tokens(cos), s = sign * of_tokens(sin);
  const Tensor a = x.narrow(3, 0, half).to(at::kFloat), b = x.narrow(3, half, half).to(at::kFloat);
  return at::cat({a * c - b * s, b * c + a * s}, 3).to(x.scalar_type());
}

// first: the position of each row's first token; empty: 0.
Tensor rotate(const Tensor& input, const Tensor& cos, const Tensor& sin, float sign,
              const std::vector<int64_t>& first = {}) {
  if (!uses_cpu_kernels(input)) return rotate_plain(input, cos, sin, sign, first);
  require_cpu("rope", {cos, sin});
  const Tensor x = input.contiguous();
  Tensor y = at::empty_like(x);
  const int64_t length = x.size(1), heads = x.size(2), half = x.size(3) / 2, token = heads * 2 * half;
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rope", [&] {
    const auto* from = x.const_data_ptr<scalar_t>();
    auto* to = y.mutable_data_ptr<scalar_t>();
    const float *c = cos.const_data_ptr<float>(), *s = sin.const_data_ptr<float>();
    parallel_for(0, x.size(0) * length, 64, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        const int64_t begins = first.empty() ? 0 : first[t / length];
        const int64_t angle = (begins + t % length) * half;
        rotate_token(from + t * token, to + t * token, c + angle, s + angle, sign, heads, half);
      }
    });
  });
  return y;
}

// The gradient is the inverse rotation.
struct RopeFunction : torch::autograd::Function<RopeFunction> {
  static Tensor forward(AutogradContext* ctx, const Tensor& x, const Tensor& cos, const Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotate(x, cos, sin, 1);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {rotate(grads[0], saved[0], saved[1], -1), Tensor(), Tensor()};
  }
};

}  // namespace

Rope::Rope(int64_t head_width, int64_t context, double theta) {
  // Computed in float32 and in this order, as wherever such models are trained: a rounding error in a
  // frequency is a thousand times as large in the angle of position 1,000.
  const Tensor exponent = at::arange(0, head_width, 2, at::kFloat) / static_cast<double>(head_width);
  const Tensor frequency = at::reciprocal(at::pow(theta, exponent));
  const Tensor angles = at::outer(at::arange(context, at::kFloat), frequency);
  cos_ = angles.cos();
  sin_ = angles.sin();
}

void Rope::follow(torch::nn::Module& module) {
  module.register_buffer("rope_cos", cos_);
  module.register_buffer("rope_sin", sin_);
}

Tensor Rope::apply(const Tensor& x, const std::vector<int64_t>& first) const {
  const int64_t last = (first.empty() ? 0 : *std::max_element(first.begin(), first.end())) + x.size(1);
  if (last > cos_.size(0)) {
    throw std::invalid_argument("rope: expected positions below the context of " +
                                std::to_string(cos_.size(0)) + ", got " + std::to_string(last));
  }
  if (!at::GradMode::is_enabled() || !first.empty()) return rotate(x, cos_, sin_, 1, first);
  return RopeFunction::apply(x, cos_, sin_);
}

Rope Rope::at(const Tensor& positions) const {
  const auto last = positions.max().item<int64_t>();
  if (last >= cos_.size(0)) {
    throw std::invalid_argument("rope: expected positions below the context of " +
                                std::to_string(cos_.size(0)) + ", got " + std::to_string(last));
  }
  Rope out;
  const Tensor there = positions.to(cos_.device());
  out.cos_ = cos_.index_select(0, there);
  out.sin_ = sin_.index_select(0, there);
  return out;
}

}  // namespace seednorm::lab
