// The feed-forward part of a block: one SwiGLU, or a mixture of them.
#ifndef SEEDNORM_LAB_NN_FEED_FORWARD_H_
#define SEEDNORM_LAB_NN_FEED_FORWARD_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "lab/nn/linear.h"

namespace seednorm::lab {

// The terms that layers add to the loss. Each is a scalar, or undefined if the layers have no such term.
struct AuxiliaryLoss {
  at::Tensor balance, router_z;
};

// down(silu(gate(x)) * up(x)) (arXiv 2002.05202).
class SwiGlu : public torch::nn::Module {
 public:
  SwiGlu(int64_t dim, int64_t hidden);
  // x [B, T, D] -> [B, T, D].
  at::Tensor forward(const at::Tensor& x) const;

 private:
  std::shared_ptr<Linear> gate_proj_, up_proj_, down_proj_;
};

struct MoeConfig {
  int64_t dim = 0, hidden = 0, num_experts = 0, top_k = 0;
  bool norm_topk_prob = false;  // divide the chosen experts' probabilities by their sum
};

// Dropless mixture of SwiGLU experts (arXiv 2409.02060): each token goes to the top_k experts of its router's
// softmax, and their outputs are added, weighted by it.
class Moe : public torch::nn::Module, public HasRoles {
 public:
  explicit Moe(const MoeConfig& config);

  // x [B, T, D] -> [B, T, D]. Adds this layer's terms to `losses`: balance = E sum_e f_e P_e with f_e the
  // share of assignments that went to expert e and P_e its mean probability (1 when even); router_z = mean of
  // logsumexp(logits)^2.
  at::Tensor forward(const at::Tensor& x, std::vector<AuxiliaryLoss>* losses) const;
  // Calls `observer` in every later pass with the experts of each token, [B T, top_k] int64; none if it is
  // empty.
  using Observer = std::function<void(const at::Tensor& chosen)>;
  void set_observer(Observer observer) { observer_ = std::move(observer); }
  int64_t num_experts() const { return config_.num_experts; }
  Role role(const std::string&) const override { return Role::kMatrix; }

 private:
  at::Tensor run_experts(const at::Tensor& rows, const at::Tensor& ends, bool few) const;

  MoeConfig config_;
  Observer observer_;
  std::shared_ptr<Linear> gate_;                // the router
  at::Tensor gate_proj_, up_proj_, down_proj_;  // [E, hidden, D], [E, hidden, D], [E, D, hidden]
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_FEED_FORWARD_H_
