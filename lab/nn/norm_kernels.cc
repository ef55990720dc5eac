#include "lab/nn/norm_kernels.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <stdexcept>
#include <string>

#include "lab/base/parallel.h"
#include "lab/nn/device.h"
#include "lab/nn/dtype.h"
#ifdef SEEDNORM_WITH_CUDA
#include "lab/nn/cuda/norm_kernels.h"
#endif

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

using Dropout = std::optional<DropoutDraws>;

const NormRunner kCpuRunner = {
    .scratch_bytes = [](const Norm& norm, int64_t rows,
                        DType dtype) { return norm.scratch_bytes(rows, dtype); },
    .forward = [](const Norm& norm, const ForwardArgs& args,
                  at::Device) { norm.forward(args, torch_executor()); },
    .backward = [](const Norm& norm, const BackwardArgs& args,
                   at::Device) { norm.backward(args, torch_executor()); },
};

// The kernels for this device, of which has_norm_kernels knows.
const NormRunner& runner_of(at::Device device) {
#ifdef SEEDNORM_WITH_CUDA
  if (device.is_cuda()) return cuda_norm_runner();
#endif
  if (!device.is_cpu()) throw std::invalid_argument("norm: no kernels for device " + device.str());
  return kCpuRunner;
}

// The rows per sample of x [..., D] for a condition per sample [N, D]; 0 without a condition.
int64_t rows_per_sample(const Tensor& x, const ParamSet<Tensor>& params) {
  return params.gamma_c.defined() ? x.numel() / params.gamma_c.numel() : 0;
}

// {y, sum}, sum undefined without a residual; writes stats if they are defined.
std::pair<Tensor, Tensor> run_forward(const seednorm::Norm& layer, const Tensor& x, const Tensor& residual,
                                      const ParamSet<Tensor>& params, const Tensor& stats,
                                      const Dropout& dropout) {
  Tensor y = at::empty_like(x), sum = residual.defined() ? at::empty_like(x) : Tensor();
  const ForwardArgs args = {.rows = x.numel() / layer.dim(),
                            .x = const_view(x),
                            .y = view(y),
                            .params = views(params),
                            .stats = stats.defined() ? stats.data_ptr() : nullptr,
                            .residual = const_view(residual),
                            .sum = view(sum),
                            .rows_per_sample = rows_per_sample(x, params),
                            .training = dropout.has_value(),
                            .seed = dropout ? dropout->seed : 0,
                            .offset = dropout ? dropout->offset : 0};
  runner_of(x.device()).forward(layer, args, x.device());
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
    const NormRunner& runner = runner_of(x.device());
    const Tensor scratch =
        at::empty({static_cast<int64_t>(runner.scratch_bytes(layer, num_rows, dtype_of(x)))},
                  x.options().dtype(at::kByte));
    const Tensor dsum_rows = dsum.defined() ? dsum.contiguous() : Tensor();
    const BackwardArgs args = {.rows = num_rows,
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
                               .offset = static_cast<uint64_t>(ctx->saved_data["offset"].toInt())};
    runner.backward(layer, args, x.device());
    out[0] = dx;
    if (residual) out[1] = dx;
    return out;
  }
};

}  // namespace

Executor torch_executor() {
  return {.run =
              [](void*, int64_t num_tasks, void (*task)(void*, int64_t), void* arg) {
                parallel_for(0, num_tasks, 1, [&](int64_t begin, int64_t end) {
                  for (int64_t i = begin; i < end; ++i) task(arg, i);
                });
              },
          .self = nullptr,
          .num_threads = at::in_parallel_region() ? 1 : at::get_num_threads()};
}

bool has_norm_kernels([[maybe_unused]] const Norm& norm, const Tensor& x) {
#ifdef SEEDNORM_WITH_CUDA
  if (x.is_cuda()) return fits_cuda_norms(norm);
#endif
  return uses_cpu_kernels(x);
}

std::pair<Tensor, Tensor> norm_by_kernels(const Norm& norm, const Tensor& x, const Tensor& residual,
                                          const ParamSet<Tensor>& params, const Dropout& dropout) {
  if (!at::GradMode::is_enabled()) {
    return run_forward(norm, x.contiguous(), residual.defined() ? residual.contiguous() : residual, params,
                       {}, dropout);
  }
  const variable_list out = NormFunction::apply(
      x, optional(residual), optional(params.gamma), optional(params.alpha), optional(params.beta),
      optional(params.shift), optional(params.gamma_c), optional(params.eta_c), &norm, dropout);
  return {out[0], out.size() > 1 ? out[1] : Tensor()};
}

}  // namespace seednorm::lab
