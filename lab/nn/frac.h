// Dynamic Frac-Connections (arXiv 2503.14125): a learned read and write of m pieces of the residual stream
// replaces h + T(h).
#ifndef SEEDNORM_LAB_NN_FRAC_H_
#define SEEDNORM_LAB_NN_FRAC_H_

#include <memory>

#include "lab/nn/norm_layer.h"

namespace seednorm::lab {

// One site, around one sublayer. H_i, i < m, are the contiguous pieces of h, of width d = D / m:
//   n_i = RMSNorm(H_i)                                          one gain for all pieces
//   a = S + s_a tanh(n W), b = B + s_b tanh(n w)                 [m, 2m] and [m] for each token
//   u_j = sum_i a[i, j] H_i,  r_j = sum_i a[i, m + j] H_i        the sublayer's input, and what passes by
//   h'_j = b_j T(u)_j + r_j
// With the initial values it equals h + T(h): S = [I, I], B = 1, W = w = 0, s_a = s_b = 0.01.
class FracSite : public torch::nn::Module, public HasRoles {
 public:
  // Errors (std::invalid_argument): rate < 1, or one that does not divide dim.
  FracSite(int64_t dim, int64_t rate, double eps);

  struct Read {
    at::Tensor input;  // u [B, T, D], dtype of h
    at::Tensor carry;  // r [B, T, m, d], float32
    at::Tensor write;  // b [B, T, m], float32
  };
  Read read(const at::Tensor& h) const;
  // h' from the sublayer's output o [B, T, D], in o's dtype.
  at::Tensor write(const at::Tensor& o, const Read& read) const;

  // B and S are never decayed, but W, w, s_a and s_b are; the paper's tensors decide this, not their shapes.
  Role role(const std::string& name) const override;

 private:
  int64_t rate_;
  std::shared_ptr<NormLayer> norm_;
  at::Tensor static_alpha_, static_beta_, alpha_fn_, beta_fn_, alpha_scale_, beta_scale_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_FRAC_H_
