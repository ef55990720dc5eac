#include "lab/language/analyze/gradient_variance.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <set>
#include <vector>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/language/interop/convert.h"
#include "lab/nn/cpu/one_thread.h"
#include "lab/nn/loss.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

constexpr std::array kParams = {Param::kAlpha, Param::kBeta, Param::kGamma};

// A copy whose norms alone have gradients; it shares the memory of all other weights.
std::unique_ptr<Model> with_heads(const Model& model, int64_t heads) {
  ModelConfig config = model.config();
  for (auto& [site, spec] : config.norms) {
    if (norm_info(spec.name).has_sigma && spec.options.beta == Form::kVector) spec.options.num_heads = heads;
  }
  std::unique_ptr<Model> out = with_norms(model, config);
  std::set<std::string> own;
  for (const auto& [name, norm] : out->norms()) {
    for (const NormParam& p : norm->params()) own.insert(name + "." + p.name);
  }
  for (const ParamInfo& p : out->params()) Tensor(p.tensor).set_requires_grad(own.contains(p.name));
  return out;
}

std::vector<NormLayer*> norms_with_dots(const Model& model) {
  std::vector<NormLayer*> out;
  for (const auto& [name, norm] : model.norms()) {
    if (norm->has_dot_product()) out.push_back(norm);
  }
  return out;
}

// Mean and sum of squared deviations of a tensor over batches (Welford).
struct Moments {
  Tensor mean, squares;

  void add(const Tensor& value, int64_t number) {
    const Tensor v = value.detach().to(at::kDouble);
    if (!mean.defined()) mean = at::zeros_like(v), squares = at::zeros_like(v);
    const Tensor from_old = v - mean;
    mean += from_old / static_cast<double>(number);
    squares += from_old * (v - mean);
  }
};

// [windows, inputs + 1].
Tensor sequences_of(std::span<const int64_t> ids, std::span<const Window> windows) {
  std::vector<Tensor> rows;
  for (const Window& w : windows) {
    const at::ArrayRef<int64_t> row(ids.data() + w.begin, static_cast<size_t>(w.inputs + 1));
    rows.push_back(at::tensor(row, at::kLong));
  }
  return at::stack(rows);
}

// Leaves the gradients of the mean loss in the parameters of the norms, and returns the loss.
double backward(Model& model, const Tensor& sequences, const std::vector<NormLayer*>& norms) {
  for (NormLayer* norm : norms) norm->zero_grad();
  const int64_t length = sequences.size(1) - 1;
  const Tensor targets = sequences.narrow(1, 1, length).flatten();
  const Tensor hidden = model.hidden(sequences.narrow(1, 0, length));
  const Tensor loss = linear_cross_entropy(hidden.flatten(0, 1), model.head(), targets,
                                           1 / static_cast<double>(targets.numel()));
  torch::autograd::backward({loss});
  return loss.item<double>();
}

// The windows of the first one's size.
std::vector<Window> equal_windows(std::span<const Window> windows) {
  std::vector<Window> out;
  std::copy_if(windows.begin(), windows.end(), std::back_inserter(out),
               [&](const Window& w) { return w.inputs == windows[0].inputs; });
  return out;
}

}  // namespace

void check_gradient_variance(const Model& model, int64_t heads, std::span<const Window> windows,
                             int64_t batch) {
  if (static_cast<int64_t>(equal_windows(windows).size()) / batch < 2) {
    throw UserError("--gradient-heads: a variance needs two batches of " + std::to_string(batch) +
                    " windows of " + std::to_string(windows[0].inputs) +
                    " tokens; expected a longer text, or a smaller --batch or --context");
  }
  bool any = false;
  for (const auto& [name, norm] : model.norms()) {
    if (!norm->has_dot_product()) continue;
    any = true;
    if (norm->layer().dim() % heads != 0) {
      throw UserError("--gradient-heads: " + std::to_string(heads) + " heads do not divide the width " +
                      std::to_string(norm->layer().dim()) + " of " + name);
    }
  }
  if (!any) throw UserError("--gradient-heads: the model has no norm with a dot product, such as seed_norm");
}

GradientVariance gradient_variance(const Model& model, int64_t heads, std::span<const int64_t> ids,
                                   std::span<const Window> windows, const GradientOptions& options) {
  check_gradient_variance(model, heads, windows, options.batch);
  const std::vector<Window> same = equal_windows(windows);
  GradientVariance out = {.heads = heads, .batches = static_cast<int64_t>(same.size()) / options.batch};
  const std::unique_ptr<Model> changed = with_heads(model, heads);
  const std::vector<NormLayer*> norms = norms_with_dots(*changed);
  std::vector<std::array<Moments, kParams.size()>> moments(norms.size());
  for (int64_t b = 0; b < out.batches; ++b) {
    check_interrupt();
    const std::span<const Window> batch =
        std::span(same).subspan(static_cast<size_t>(b * options.batch), static_cast<size_t>(options.batch));
    out.loss += backward(*changed, sequences_of(ids, batch), norms) / static_cast<double>(out.batches);
    for (size_t n = 0; n < norms.size(); ++n) {
      for (size_t p = 0; p < kParams.size(); ++p) {
        const Tensor& param = norms[n]->param(kParams[p]);
        if (param.defined()) moments[n][p].add(param.grad(), b + 1);
      }
    }
    options.report(b + 1, out.batches);
  }
  const OneThread alone;  // sums over whole tensors
  const std::array<GradientMoments*, kParams.size()> sums = {&out.alpha, &out.beta, &out.gamma};
  for (const auto& of_norm : moments) {
    for (size_t p = 0; p < kParams.size(); ++p) {
      if (!of_norm[p].mean.defined()) continue;
      sums[p]->variance += of_norm[p].squares.sum().item<double>() / static_cast<double>(out.batches - 1);
      sums[p]->squared_mean += of_norm[p].mean.square().sum().item<double>();
    }
  }
  return out;
}

}  // namespace seednorm::lab
