#include "lab/nn/norm_layer.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "lab/nn/dtype.h"

namespace seednorm::lab {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

ConstView const_view(const Tensor& t) {
  if (!t.defined()) return {};
  return {.data = t.const_data_ptr(), .dtype = dtype_of(t)};
}
View view(const Tensor& t) {
  if (!t.defined()) return {};
  return {.data = t.data_ptr(), .dtype = dtype_of(t)};
}

Params views(const ParamSet<Tensor>& tensors) {
  Params out;
  for (int p = 0; p < kNumParams; ++p)
    out[static_cast<Param>(p)] = const_view(tensors[static_cast<Param>(p)]);
  return out;
}

using Dropout = std::optional<NormLayer::DropoutDraws>;

// The rows per sample of x [..., D] for a condition per sample [N, D]; 0 without a condition.
int64_t rows_per_sample(const Tensor& x, const ParamSet<Tensor>& params) {
  return params.gamma_c.defined() ? x.numel() / params.gamma_c.numel() : 0;
}

// {y, sum}, sum undefined without a residual; writes stats if they are defined.
std::pair<Tensor, Tensor> run_forward(const seednorm::Norm& layer, const Tensor& x, const Tensor& residual,
                                      const ParamSet<Tensor>& params, const Tensor& stats,
                                      const Dropout& dropout) {
  Tensor y = at::empty_like(x), sum = residual.defined() ? at::empty_like(x) : Tensor();
  layer.forward({.rows = x.numel() / layer.dim(),
                 .x = const_view(x),
                 .y = view(y),
                 .params = views(params),
                 .stats = stats.defined() ? stats.data_ptr() : nullptr,
                 .residual = const_view(residual),
                 .sum = view(sum),
                 .rows_per_sample = rows_per_sample(x, params),
                 .training = dropout.has_value(),
                 .seed = dropout ? dropout->seed : 0,
                 .offset = dropout ? dropout->offset : 0},
                torch_executor());
  return {y, sum};
}

// Represents a tensor that may be undefined as an input of a function, since the graph does not accept
// undefined tensors.
using Optional = std::optional<Tensor>;
Optional optional(const Tensor& t) { return t.defined() ? Optional(t) : std::nullopt; }
Tensor tensor(const Optional& t) { return t.value_or(Tensor()); }

// Inputs: x, residual, then one tensor for each parameter that a layer can have: gamma, alpha, beta, shift,
// gamma(c), eta(c).
struct NormFunction : torch::autograd::Function<NormFunction> {
  static constexpr int kFirstParam = 2;

  static variable_list forward(AutogradContext* ctx, const Tensor& x, const Optional& residual,
                               const Optional& gamma, const Optional& alpha, const Optional& beta,
                               const Optional& shift, const Optional& gamma_c, const Optional& eta_c,
                               const seednorm::Norm* layer, const Dropout& dropout) {
    const Tensor rows = x.contiguous();
    const ParamSet<Tensor> params = {tensor(gamma), tensor(alpha),   tensor(beta),
                                     tensor(shift), tensor(gamma_c), tensor(eta_c)};
    const at::ScalarType sums = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
    const Tensor stats = at::empty({x.numel() / layer->dim(), layer->num_stats()}, x.options().dtype(sums));
    const auto [y, sum] =
        run_forward(*layer, rows, residual ? residual->contiguous() : Tensor(), params, stats, dropout);
    ctx->set_materialize_grads(false);
    ctx->saved_data["layer"] = reinterpret_cast<int64_t>(layer);
    ctx->saved_data["residual"] = residual.has_value();
    ctx->saved_data["training"] = dropout.has_value();
    ctx->saved_data["seed"] = static_cast<int64_t>(dropout ? dropout->seed : 0);
    ctx->saved_data["offset"] = static_cast<int64_t>(dropout ? dropout->offset : 0);
    ctx->save_for_backward({sum.defined() ? sum : rows, params.gamma, params.alpha, params.beta, params.shift,
                            params.gamma_c, params.eta_c, stats});
    if (sum.defined()) return {y, sum};
    return {y};
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const auto& layer = *reinterpret_cast<const seednorm::Norm*>(ctx->saved_data["layer"].toInt());
    const bool residual = ctx->saved_data["residual"].toBool();
    const variable_list saved = ctx->get_saved_variables();
    const Tensor dsum = residual && grads.size() > 1 ? grads[1] : Tensor();
    variable_list out(kFirstParam + kNumParams + 2);  // one for each input, layer and dropout included
    if (!grads[0].defined()) {                        // only the sum went on
      out[0] = dsum;
      if (residual) out[1] = dsum;
      return out;
    }
    const Tensor &x = saved[0], &stats = saved[7];
    const ParamSet<Tensor> params = {saved[1], saved[2], saved[3], saved[4], saved[5], saved[6]};
    const Tensor dy = grads[0].contiguous(), dx = at::empty_like(x);
    const int64_t num_rows = x.numel() / layer.dim();
    ParamGrads wanted;
    for (int p = 0; p < kNumParams; ++p) {
      const Tensor& value = params[static_cast<Param>(p)];
      if (!value.defined() || !value.requires_grad()) continue;
      out[kFirstParam + p] = at::empty_like(value);
      wanted[static_cast<Param>(p)] = view(out[kFirstParam + p]);
    }
    const Tensor scratch = at::empty({static_cast<int64_t>(layer.scratch_bytes(num_rows, dtype_of(x)))},
                                     x.options().dtype(at::kByte));
    const Tensor dsum_rows = dsum.defined() ? dsum.contiguous() : Tensor();
    layer.backward({.rows = num_rows,
                    .x = const_view(x),
                    .dy = const_view(dy),
                    .dx = view(dx),
                    .dsum = const_view(dsum_rows),
                    .params = views(params),
                    .grads = wanted,
                    .stats = stats.data_ptr(),
                    .scratch = scratch.data_ptr(),
                    .rows_per_sample = rows_per_sample(x, params),
                    .training = ctx->saved_data["training"].toBool(),
                    .seed = static_cast<uint64_t>(ctx->saved_data["seed"].toInt()),
                    .offset = static_cast<uint64_t>(ctx->saved_data["offset"].toInt())},
                   torch_executor());
    out[0] = dx;
    if (residual) out[1] = dx;
    return out;
  }
};

Tensor sigma_of(Sigma sigma, const Tensor& z) {
  switch (sigma) {
    case Sigma::kTanh:
      return z.tanh();
    case Sigma::kSigmoid:
      return z.sigmoid();
    case Sigma::kHardtanh:
      return z.clamp(-1, 1);
    case Sigma::kSoftsign:
      return z / (1 + z.abs());
    case Sigma::kGelu:
      return at::gelu(z);
    case Sigma::kSilu:
      return at::silu(z);
    case Sigma::kIdentity:
      return z;
  }
  throw std::logic_error("sigma");
}

Options options_for(const NormSpec& spec, int64_t dim) {
  Options options = spec.options;
  const int64_t heads = spec.divisor == NormSpec::Divisor::kHeadWidth ? options.num_heads : 1;
  if (spec.divisor != NormSpec::Divisor::kOne) {
    options.dot_scale /= static_cast<double>(dim / std::max<int64_t>(heads, 1));
  }
  return options;
}

}  // namespace

Executor torch_executor() {
  return {.run =
              [](void*, int64_t num_tasks, void (*task)(void*, int64_t), void* arg) {
                at::parallel_for(0, num_tasks, 1, [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) task(arg, i);
                });
              },
          .self = nullptr,
          .num_threads = at::in_parallel_region() ? 1 : at::get_num_threads()};
}

NormLayer::NormLayer(const NormSpec& spec, int64_t dim, Affine affine)
    : torch::nn::Module(spec.name),
      spec_(spec),
      layer_(spec.name, dim, options_for(spec, dim)),
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
      tensors_[p] = value;
      continue;
    }
    params_.push_back({p, layer_.state_name(p)});
    tensors_[p] = register_parameter(params_.back().name, value);
  }
}

Role NormLayer::role(const std::string& name) const {
  const auto own =
      std::find_if(params_.begin(), params_.end(), [&](const NormParam& p) { return name == p.name; });
  const bool dynamic = own != params_.end() && layer_.role(own->param) == ParamRole::kDynamic;
  return dynamic ? Role::kDynamic : Role::kGain;
}

std::pair<Tensor, Tensor> NormLayer::run(const Tensor& x, const Tensor& residual, const ParamSet<Tensor>& t) {
  if (!at::GradMode::is_enabled()) {
    return run_forward(layer_, x.contiguous(), residual.defined() ? residual.contiguous() : residual, t, {},
                       dropout_draws_);
  }
  const variable_list out =
      NormFunction::apply(x, optional(residual), optional(t.gamma), optional(t.alpha), optional(t.beta),
                          optional(t.shift), optional(t.gamma_c), optional(t.eta_c), &layer_, dropout_draws_);
  return {out[0], out.size() > 1 ? out[1] : Tensor()};
}

Tensor NormLayer::forward(const Tensor& x) {
  if (is_conditioned_) throw std::logic_error("[" + spec_.name + "] norm: called without its condition");
  if (watching_) watch(x);
  return run(x, {}, tensors_).first;
}

Tensor NormLayer::forward(const Tensor& x, const Tensor& scale, const Tensor& shift) {
  if (!is_conditioned_) throw std::logic_error("[" + spec_.name + "] norm: called with a condition");
  if (watching_) watch(x);
  if (!layer_.info().needs_condition()) {
    return at::addcmul(shift.unsqueeze(1), run(x, {}, tensors_).first, 1 + scale.unsqueeze(1));
  }
  ParamSet<Tensor> all = tensors_;
  all.gamma_c = scale.contiguous();
  all.eta_c = shift.contiguous();
  return run(x, {}, all).first;
}

std::pair<Tensor, Tensor> NormLayer::add(const Tensor& x, const Tensor& residual) {
  if (!layer_.has_residual_add()) {
    const Tensor sum = x + residual;
    return {forward(sum), sum};
  }
  if (watching_) watch(x + residual);
  return run(x, residual, tensors_);
}

void NormLayer::set_watching(bool on) {
  watching_ = on && layer_.info().has_sigma && spec_.options.beta == Form::kVector;
  stats_.reset();
}

// A few evenly spaced rows suffice for a share with an error of a few percent.
void NormLayer::watch(const Tensor& x) {
  constexpr int64_t kRows = 256;
  const at::NoGradGuard no_grad;
  const int64_t heads = layer_.options().num_heads, width = layer_.dim() / heads;
  const Tensor rows = x.reshape({-1, heads, width});
  const int64_t step = std::max<int64_t>(rows.size(0) / kRows, 1);
  const Tensor some = rows.slice(0, 0, rows.size(0), step).to(at::kFloat);
  const Tensor z = (some * tensors_.beta.view({heads, width})).sum(-1) * layer_.options().dot_scale;
  const Tensor u = sigma_of(layer_.options().sigma, z);
  stats_ = DynamicStats{.saturated = u.abs().gt(0.95).to(at::kFloat).mean().item<double>(),
                        .mean_u = u.mean().item<double>(),
                        .std_u = u.std(/*unbiased=*/false).item<double>(),
                        .alpha = tensors_.alpha.defined() ? tensors_.alpha.abs().mean().item<double>() : 1,
                        .beta = tensors_.beta.abs().mean().item<double>()};
}

}  // namespace seednorm::lab
