#include "lab/nn/norm_layer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "lab/nn/norm_kernels.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// Errors (std::invalid_argument): a tensor on another device than x.
void check_devices(const Norm& norm, const Tensor& x, const Tensor& residual,
                   const ParamSet<Tensor>& params) {
  const auto check = [&](const char* name, const Tensor& t) {
    if (!t.defined() || t.device() == x.device()) return;
    throw std::invalid_argument("[" + norm.name() + "] norm: no code for x on device " + x.device().str() +
                                " and " + name + " on device " + t.device().str());
  };
  check("residual", residual);
  for (int p = 0; p < kNumParams; ++p) check(name_of(static_cast<Param>(p)), params[static_cast<Param>(p)]);
}

}  // namespace

NormLayer::NormLayer(const NormSpec& spec, int64_t dim, Affine affine)
    : torch::nn::Module(spec.name),
      spec_(spec),
      layer_(spec.layer(dim)),
      is_conditioned_(affine == Affine::kOfSample) {
  if (layer_.info().needs_condition() && !is_conditioned_) {
    throw std::invalid_argument("[" + spec.name +
                                "] norm: needs a condition for each sample, which this model lacks");
  }
  for (int i = 0; i < kNumParams; ++i) {
    const auto p = static_cast<Param>(i);
    const ParamKind kind = layer_.kind(p);
    if (kind == ParamKind::kAbsent || kind == ParamKind::kPerSample) continue;
    double initial = layer_.initial_value(p);
    if (p == Param::kAlpha && spec.alpha_init) initial = *spec.alpha_init;
    const Tensor value = at::full({kind == ParamKind::kScalar ? 1 : dim}, initial, at::kFloat);
    const ParamRole role = layer_.role(p);
    if (is_conditioned_ && kind == ParamKind::kVector &&
        (role == ParamRole::kGain || role == ParamRole::kOffset)) {
      tensors_[p] = register_buffer(layer_.state_name(p), value);
      continue;
    }
    params_.push_back({p, layer_.state_name(p)});
    tensors_[p] = register_parameter(params_.back().name, value);
  }
  if (spec.gate_rank > 0) {
    gate_down_ = register_module("gate_down", std::make_shared<Linear>(dim, spec.gate_rank));
    gate_up_ = register_module("gate_up", std::make_shared<Linear>(spec.gate_rank, dim));
  }
}

Role NormLayer::role(const std::string& name) const {
  const auto own =
      std::find_if(params_.begin(), params_.end(), [&](const NormParam& p) { return name == p.name; });
  const bool dynamic = own != params_.end() && layer_.role(own->param) == ParamRole::kDynamic;
  return dynamic ? Role::kDynamic : Role::kGain;
}

std::pair<Tensor, Tensor> NormLayer::run(const Tensor& x, const Tensor& residual, const ParamSet<Tensor>& t) {
  check_devices(layer_, x, residual, t);
  const bool by_kernels = has_norm_kernels(layer_, x);
  if (by_kernels && input_scale_ == 1) return norm_by_kernels(layer_, x, residual, t, dropout_draws_);
  const Tensor sum = residual.defined() ? x + residual : Tensor();
  const Tensor& plain = sum.defined() ? sum : x;
  const Tensor in = input_scale_ == 1 ? plain : plain * input_scale_;
  if (by_kernels) return {norm_by_kernels(layer_, in, {}, t, dropout_draws_).first, sum};
  return {norm_formula(layer_, in, t, dropout_draws_), sum};
}

Tensor NormLayer::gated(const Tensor& y) const {
  if (gate_down_ == nullptr) return y;
  return y * gate_up_->forward(at::silu(gate_down_->forward(y))).sigmoid();
}

Tensor NormLayer::forward(const Tensor& x) {
  if (is_conditioned_) throw std::logic_error("[" + spec_.name + "] norm: called without its condition");
  observe(x);
  return gated(run(x, {}, tensors_).first);
}

Tensor NormLayer::forward(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  if (!is_conditioned_) throw std::logic_error("[" + spec_.name + "] norm: called with a condition");
  observe(x);
  if (!layer_.info().needs_condition()) {
    return gated(at::addcmul(shift.unsqueeze(1), run(x, {}, tensors_).first, 1 + scale.unsqueeze(1)));
  }
  ParamSet<Tensor> all = tensors_;
  all.gamma_c = scale.contiguous();
  all.eta_c = shift.contiguous();
  return gated(run(x, {}, all).first);
}

std::pair<Tensor, Tensor> NormLayer::add(const Tensor& x, const Tensor& residual) {
  if (!layer_.has_residual_add()) {
    const Tensor sum = x + residual;
    return {forward(sum), sum};
  }
  if (watching_ || observer_) observe(x + residual);
  const auto [y, sum] = run(x, residual, tensors_);
  return {gated(y), sum};
}

void NormLayer::set_watching(bool on) {
  watching_ = on && has_dot_product();
  stats_.reset();
}

void NormLayer::observe(const Tensor& x) {
  if (watching_) watch(x);
  if (observer_) observer_(x);
}

// A few evenly spaced tokens suffice for a share with an error of a few percent. x is [rows, D] or
// [B, T, ..., D], where a token may have several rows.
void NormLayer::watch(const Tensor& x) {
  constexpr int64_t kTokens = 256;
  const at::NoGradGuard no_grad;
  const int64_t heads = layer_.options().num_heads, width = layer_.dim() / heads;
  const Tensor tokens = x.dim() > 2 ? x.flatten(0, 1) : x;
  const int64_t step = std::max<int64_t>(tokens.size(0) / kTokens, 1);
  const Tensor some = tokens.slice(0, 0, tokens.size(0), step).to(at::kFloat).reshape({-1, heads, width});
  const Tensor z = (some * tensors_.beta.view({heads, width})).sum(-1) * layer_.options().dot_scale;
  const Tensor u = sigma_of(layer_.options().sigma, z);
  stats_ = DynamicStats{.saturated = u.abs().gt(0.95).to(at::kFloat).mean().item<double>(),
                        .mean_u = u.mean().item<double>(),
                        .std_u = u.std(/*unbiased=*/false).item<double>(),
                        .alpha = tensors_.alpha.defined() ? tensors_.alpha.abs().mean().item<double>() : 1,
                        .beta = tensors_.beta.abs().mean().item<double>()};
}

}  // namespace seednorm::lab
