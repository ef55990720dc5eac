// AdamW with weight decay by the role of a parameter.
#ifndef SEEDNORM_LAB_TRAIN_OPTIMIZER_H_
#define SEEDNORM_LAB_TRAIN_OPTIMIZER_H_

#include <string>
#include <vector>

#include "lab/nn/param_info.h"
#include "lab/train/config.h"

namespace seednorm::lab {

// Parameters with the same role and learning rate, which share their weight decay.
struct ParamGroup {
  Role role;
  double weight_decay;
  double lr_scale;
  std::vector<ParamInfo> params;
  int64_t num_elements() const;
};

// One group for each role and factor on the learning rate among the parameters. SeeDNorm's alpha and beta
// (and the dynamic part of Frac-Connections) are decayed whether or not the recipe decays gains (paper,
// Section 3 and Table 4), unless it sets decay_dynamic=false.
std::vector<ParamGroup> param_groups(const std::vector<ParamInfo>& params, const TrainConfig& config);
// A table of the groups: role, parameters, elements, weight decay, and the factor on the learning rate if
// it is not 1.
std::string to_text(const std::vector<ParamGroup>& groups);

// AdamW (arXiv 1711.05101) on float32 parameters, in libtorch's fused form.
class AdamW {
 public:
  AdamW(std::vector<ParamGroup> groups, const TrainConfig& config);

  // Scales all gradients so that their joint norm is at most config.grad_clip (0: no limit); returns the norm
  // before. NaN or Inf in a gradient makes it NaN or Inf.
  double clip();
  // One step with this learning rate; parameters without a gradient stay as they are.
  void step(double lr);
  void zero_grad();

  const std::vector<ParamGroup>& groups() const { return groups_; }
  // The tensors of the state by name, "<parameter>.exp_avg" and so on, to be saved, or to be filled when
  // loading.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

 private:
  struct Slots {
    std::vector<at::Tensor> params, exp_avg, exp_avg_sq, steps;
  };
  std::vector<ParamGroup> groups_;
  std::vector<Slots> slots_;  // by group
  double beta1_, beta2_, eps_, grad_clip_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_OPTIMIZER_H_
