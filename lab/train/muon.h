// Muon (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/): steps of matrices along their
// orthogonalized momentum.
#ifndef SEEDNORM_LAB_TRAIN_MUON_H_
#define SEEDNORM_LAB_TRAIN_MUON_H_

#include <ATen/core/Tensor.h>

#include <optional>

namespace seednorm::lab {

// For a matrix U S V^T [M, N] of float32, U S' V^T with singular values S' of about 0.7 to 1.2: five steps of
// the quintic Newton-Schulz iteration
//   X <- a X + (b G + c G G) X,  G = X X^T,  (a, b, c) = (3.4445, -4.7750, 2.0315)
// from the matrix over its Frobenius norm. It is computed in float32 on the CPU, with bits that the number of
// threads does not change, and in bfloat16 on other devices, where that is faster.
at::Tensor orthogonalized(const at::Tensor& matrix);

// One step of `param`, a matrix [M, N] or a stack [E, M, N] of them, whose `momentum` is an average of its
// gradients:
//   momentum <- 0.95 momentum + 0.05 gradient
//   update = orthogonalized(0.95 momentum + 0.05 gradient)
//   param <- (1 - lr weight_decay) param - 0.2 sqrt(max(M, N)) lr update
// The factor 0.2 sqrt(max(M, N)) makes the update as large as AdamW's usually is, so that both take the same
// learning rates (arXiv 2502.16982). This is torch.optim.Muon with adjust_lr_fn="match_rms_adamw".
// If `skip` is given and 1, nothing changes.
void muon_step(const at::Tensor& param, const at::Tensor& gradient, const at::Tensor& momentum, double lr,
               double weight_decay, const std::optional<at::Tensor>& skip);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_TRAIN_MUON_H_
