// Packs several sequences into one row of tokens without padding.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_
#define SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_

#include <ATen/core/Tensor.h>

#include <vector>

#include "lab/nn/device.h"

namespace seednorm::lab {

// The numbers of tokens of a trunk and of the branches that each continue it as if the others did not exist.
// The trunk has at least one token; a branch may be empty.
struct PackedSequence {
  int64_t trunk = 0;
  std::vector<int64_t> branches;
};

// The attention pattern of a row of T tokens: trunk, branch, branch, ..., trunk, ... A token of a trunk
// attends to the tokens before it in the trunk, and a token of a branch to the trunk and the tokens before it
// in its branch.
class Packing {
 public:
  explicit Packing(const std::vector<PackedSequence>& sequences);

  int64_t num_tokens() const { return positions_.size(0); }
  // [T] int64, on the CPU: the position of each token in its sequence. A branch starts where the trunk ends.
  const at::Tensor& positions() const { return positions_; }

  // [1, T, H, d] over [1, T, Hkv, d], each head of which serves H / Hkv heads of queries -> [1, T, H, d].
  at::Tensor attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const;

 private:
  struct Piece {
    int64_t first, trunk, branches;  // first token, and tokens
    Table mask;                      // [branches, trunk + branches] float32, added to the scores
  };

  std::vector<Piece> pieces_;
  at::Tensor positions_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_
