// One layer of an encoder that sees whole pictures: ViT's, and MAE's encoder and decoder.
#ifndef SEEDNORM_LAB_VISION_NN_TRANSFORMER_BLOCK_H_
#define SEEDNORM_LAB_VISION_NN_TRANSFORMER_BLOCK_H_

#include <memory>

#include "lab/nn/norm_layer.h"
#include "lab/vision/nn/drop_path.h"
#include "lab/vision/nn/mlp.h"
#include "lab/vision/nn/self_attention.h"

namespace seednorm::lab {

// The residual stream between branches: x + branch, where branch is the last one's output, not added yet so
// that the next norm can add it in the same pass. Undefined when there is nothing to add.
struct Residual {
  at::Tensor x;       // [N, T, D]
  at::Tensor branch;  // [N, T, D]
  at::Tensor sum() const;
};
// {norm(x + branch), x + branch}.
std::pair<at::Tensor, at::Tensor> add_norm(NormLayer& norm, const Residual& in);

//   x = x + attention(norm1(x)),  x = x + mlp(norm2(x))
// Names are timm's.
class TransformerBlock : public torch::nn::Module {
 public:
  // Errors (std::invalid_argument): see SelfAttention and NormLayer.
  TransformerBlock(int64_t dim, int64_t num_heads, int64_t hidden, const NormSpec& norm);

  // The block's two branches are numbers first_branch and first_branch + 1 of `drop`.
  Residual forward(const Residual& in, const DropPath& drop, int64_t first_branch) const;

 private:
  std::shared_ptr<NormLayer> norm1_, norm2_;
  std::shared_ptr<SelfAttention> attention_;
  std::shared_ptr<Mlp> mlp_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_NN_TRANSFORMER_BLOCK_H_
