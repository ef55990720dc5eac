// The normalization layers of the core as layers of a model: any norm of the list, at any position.
#ifndef SEEDNORM_LAB_NN_NORM_LAYER_H_
#define SEEDNORM_LAB_NN_NORM_LAYER_H_

#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "lab/nn/linear.h"
#include "lab/nn/norm_formula.h"
#include "lab/nn/norm_spec.h"
#include "lab/nn/role.h"

namespace seednorm::lab {

// A trained parameter of a norm, and its name in state dictionaries from the norm's description.
struct NormParam {
  Param param;
  const char* name;
};

// Where the gain and the offset of each channel come from.
enum class Affine {
  kOwn,       // parameters, as many as the norm has
  kOfSample,  // the model computes them for each sample (adaptive norms, as in DiT)
};

// y = norm(x) over the last dimension, in x's dtype; parameters are float32. The core's kernels compute it on
// the devices that they exist for (lab/nn/norm_kernels.h), and the formula in plain tensors on all others.
//
// With a gate of rank r (GatedNorm, arXiv 2601.22966) the layer's output is
//   y sigmoid(W_up silu(W_down y)),  W_down [r, dim], W_up [dim, r]
// where y is what it would be without a gate. The matrices are the modules gate_down and gate_up, which the
// model initializes with its others.
//
// All tensors must be on one device. Errors (std::invalid_argument) of forward and add: they are not.
class NormLayer : public torch::nn::Module, public HasRoles {
 public:
  // If the affine part is the sample's, the norm's own gains and offsets per channel keep their initial
  // values and are not parameters. Errors (std::invalid_argument): as seednorm::Norm's constructor; a norm
  // that needs a condition (ada_seed_norm), without one.
  NormLayer(const NormSpec& spec, int64_t dim, Affine affine = Affine::kOwn);

  // x: [..., dim] -> [..., dim].
  torch::Tensor forward(const torch::Tensor& x);
  // norm(x) (1 + scale) + shift, for the sample's affine part: x [N, T, dim], scale and shift [N, dim] in
  // x's dtype. ada_seed_norm takes one pass; seed_norm computes the same (Eq. 8) in two.
  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& scale, const torch::Tensor& shift);
  // Fused residual add: {norm(x + residual), x + residual}, both [..., dim]. A norm without a fused add first
  // adds.
  std::pair<torch::Tensor, torch::Tensor> add(const torch::Tensor& x, const torch::Tensor& residual);

  // Sets the source of random numbers for dropout of the dynamic coefficient in all later passes; without it,
  // dropout does not act. A norm whose spec has no dropout ignores it.
  void set_dropout_draws(const std::optional<DropoutDraws>& draws) { dropout_draws_ = draws; }

  // Calls `observer` with the input of every later pass, which for add is the sum; none if it is empty.
  using Observer = std::function<void(const torch::Tensor& input)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  // Normalizes the input times `scale` in all later passes. The sum that add returns is not scaled.
  void set_input_scale(double scale) { input_scale_ = scale; }

  Role role(const std::string& name) const override;
  const NormSpec& spec() const { return spec_; }
  Affine affine() const { return is_conditioned_ ? Affine::kOfSample : Affine::kOwn; }
  const seednorm::Norm& layer() const { return layer_; }
  // The parameters of this layer, in the core's order.
  const std::vector<NormParam>& params() const { return params_; }
  // Undefined if the layer does not have it.
  const torch::Tensor& param(Param p) const { return tensors_[p]; }

  // Whether the layer has z = dot_scale x_h . beta_h, a number for each row and head.
  bool has_dot_product() const { return layer_.info().has_sigma && spec_.options.beta == Form::kVector; }

  // Telemetry of SeeDNorm with a dot product: while it is on, forward samples some rows of its input.
  void set_watching(bool on);
  struct DynamicStats {
    double saturated = 0;  // share of |u| > 0.95
    double mean_u = 0, std_u = 0;
    double alpha = 0, beta = 0;  // mean absolute values
  };
  // The statistics of the last sampled input; nothing for other layers, or before the first sample.
  const std::optional<DynamicStats>& dynamic_stats() const { return stats_; }

 private:
  void watch(const torch::Tensor& x);
  void observe(const torch::Tensor& x);
  torch::Tensor gated(const torch::Tensor& y) const;
  // {y, sum}, sum undefined without a residual.
  std::pair<torch::Tensor, torch::Tensor> run(const torch::Tensor& x, const torch::Tensor& residual,
                                              const ParamSet<torch::Tensor>& params);

  NormSpec spec_;
  seednorm::Norm layer_;
  bool is_conditioned_;
  std::vector<NormParam> params_;
  ParamSet<torch::Tensor> tensors_;
  std::shared_ptr<Linear> gate_down_, gate_up_;  // null without a gate
  std::optional<DropoutDraws> dropout_draws_;
  Observer observer_;
  double input_scale_ = 1;
  bool watching_ = false;
  std::optional<DynamicStats> stats_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_LAYER_H_
