#include "lab/nn/frac.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <stdexcept>

#include "lab/nn/cpu/few_rows.h"
#include "lab/nn/cpu/products.h"

namespace seednorm::lab {

using at::Tensor;

FracSite::FracSite(int64_t dim, int64_t rate, double eps) : rate_(rate) {
  if (rate < 1 || dim % rate != 0) {
    throw std::invalid_argument("frac_rate: expected a divisor of the width " + std::to_string(dim) +
                                ", got " + std::to_string(rate));
  }
  NormSpec spec;
  spec.options.eps = eps;
  norm_ = register_module("norm", std::make_shared<NormLayer>(spec, dim / rate));
  static_alpha_ = register_parameter("static_alpha", at::cat({at::eye(rate), at::eye(rate)}, 1));
  static_beta_ = register_parameter("static_beta", at::ones({rate}));
  alpha_fn_ = register_parameter("alpha_fn", at::zeros({dim / rate, 2 * rate}));
  beta_fn_ = register_parameter("beta_fn", at::zeros({dim / rate}));
  alpha_scale_ = register_parameter("alpha_scale", at::full({1}, 0.01));
  beta_scale_ = register_parameter("beta_scale", at::full({1}, 0.01));
}

FracSite::Read FracSite::read(const Tensor& h) const {
  const Tensor pieces = h.unflatten(-1, {rate_, h.size(-1) / rate_}).to(at::kFloat);
  const Tensor n = norm_->forward(pieces);
  // A few tokens stay a few rows with m pieces each, so that a token's result does not depend on the others.
  const bool few = are_few_rows(pieces.flatten(-2), alpha_fn_);
  const Tensor mixing = few ? few_rows_product(n, alpha_fn_.t()) : product(n, alpha_fn_.t());
  const Tensor a = static_alpha_ + alpha_scale_ * at::tanh(mixing);
  const Tensor b = static_beta_ + beta_scale_ * at::tanh(dots(n, beta_fn_));
  const Tensor mixed = at::matmul(a.transpose(-1, -2), pieces);  // [B, T, 2m, d]
  return {mixed.narrow(-2, 0, rate_).flatten(-2).to(h.scalar_type()), mixed.narrow(-2, rate_, rate_), b};
}

Tensor FracSite::write(const Tensor& o, const Read& read) const {
  const Tensor pieces = o.unflatten(-1, {rate_, o.size(-1) / rate_}).to(at::kFloat);
  return (read.write.unsqueeze(-1) * pieces + read.carry).flatten(-2).to(o.scalar_type());
}

Role FracSite::role(const std::string& name) const {
  return name == "static_alpha" || name == "static_beta" ? Role::kStatic : Role::kDynamic;
}

}  // namespace seednorm::lab
