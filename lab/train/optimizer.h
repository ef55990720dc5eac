// AdamW, and Muon for matrices if the recipe says so, with weight decay by the role of a parameter.
#ifndef SEEDNORM_LAB_TRAIN_OPTIMIZER_H_
#define SEEDNORM_LAB_TRAIN_OPTIMIZER_H_

#include <string>
#include <vector>

#include "lab/dist/group.h"
#include "lab/dist/shards.h"
#include "lab/nn/param_info.h"
#include "lab/train/config.h"

namespace seednorm::lab {

// Parameters with the same role, method and learning rate, which share their weight decay.
struct ParamGroup {
  Role role;
  Method method;
  double weight_decay;
  double lr_scale;
  std::vector<ParamInfo> params;
  int64_t num_elements() const;
  // Tensors of the optimizer's state as large as each parameter: AdamW's two moments, or Muon's momentum.
  int num_moments() const { return method == Method::kMuon ? 1 : 2; }
};

// One group for each role, method and factor on the learning rate among the parameters. Muon is for the
// matrices of blocks, including those of experts that are stacked; embeddings, heads, convolutions and all
// vectors have AdamW. SeeDNorm's alpha and beta (and the dynamic part of Frac-Connections) are decayed
// whether or not the recipe decays gains (paper, Section 3 and Table 4), unless it sets decay_dynamic=false.
std::vector<ParamGroup> param_groups(const std::vector<ParamInfo>& params, const TrainConfig& config);
// A table of the groups: role, parameters, elements, weight decay, the method if it is not AdamW, and the
// factor on the learning rate if it is not 1.
std::string to_text(const std::vector<ParamGroup>& groups);

// The bytes of float32 weights, gradients and the optimizer's moments in each of `ranks` processes, which
// divide the moments among them. The activations come in addition.
double bytes_per_rank(const std::vector<ParamGroup>& groups, int ranks);

// AdamW (arXiv 1711.05101) on float32 parameters, in libtorch's fused form, and Muon (lab/train/muon.h). Each
// rank of a group has the state of its ranges of the parameters and updates those (ZeRO-1); a parameter with
// Muon is wholly one rank's. A single process has and updates everything.
class Optimizer {
 public:
  Optimizer(std::vector<ParamGroup> groups, const TrainConfig& config, int rank = 0, int ranks = 1);

  // All parameters, group after group; the order of gradients below.
  const std::vector<at::Tensor>& params() const { return params_; }
  const Shards& shards() const { return shards_; }

  // Scales the gradients of this rank's ranges so that the joint norm of all is at most config.grad_clip (0:
  // no limit); returns the norm before, a float64 scalar on their device. NaN or Inf in a gradient makes it
  // NaN or Inf. On other devices than the CPU nothing waits for it.
  at::Tensor clip(const std::vector<at::Tensor>& gradients, const Group& group) const;
  // One step with this learning rate; parameters without a gradient stay as they are. With `norm`, as clip()
  // returns it, nothing changes if it is not finite.
  void step(double lr, const std::vector<at::Tensor>& gradients, const at::Tensor& norm = {});

  const std::vector<ParamGroup>& groups() const { return groups_; }
  // A tensor of the state, of this rank's range of a parameter.
  struct Slot {
    std::string name;  // "<parameter>.exp_avg" and so on, "<parameter>.momentum"
    at::Tensor tensor;
    Range range;
    int64_t whole;  // elements of the parameter
    bool is_step;   // the number of steps, which has no range
  };
  // To be saved, or to be filled when loading. Ranges that are empty have no slots.
  std::vector<Slot> state() const;
  // The number of slots of all ranks, counting those of a parameter once.
  size_t num_slots() const;

 private:
  std::vector<ParamGroup> groups_;
  std::vector<at::Tensor> params_;
  Shards shards_;
  // By parameter, undefined where the range is empty; the first are views of the parameters' ranges. Muon's
  // momentum is in exp_avg_.
  std::vector<at::Tensor> own_, exp_avg_, exp_avg_sq_, steps_;
  std::vector<Range> ranges_;
  double beta1_, beta2_, eps_, grad_clip_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_OPTIMIZER_H_
