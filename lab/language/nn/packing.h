// Several sequences side by side in one row of tokens, so that none is padded.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_
#define SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace seednorm::lab {

// Counts of tokens: a trunk, and branches that each continue it as if the others were not there. The trunk
// has at least one; a branch may have none.
struct PackedSequence {
  int64_t trunk = 0;
  std::vector<int64_t> branches;
};

// Which tokens of a row of T see which: trunk, branch, branch, ..., trunk, ... A token of a trunk sees what
// is before it in the trunk, one of a branch the trunk and what is before it in its own branch.
class Packing {
 public:
  explicit Packing(const std::vector<PackedSequence>& sequences);

  int64_t num_tokens() const { return positions_.size(0); }
  // [T] int64: where each token stands in its sequence. A branch begins where the trunk ends.
  const at::Tensor& positions() const { return positions_; }

  // [1, T, H, d] over [1, T, Hkv, d], each head of which serves H / Hkv heads of queries -> [1, T, H, d].
  at::Tensor attend(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values) const;

 private:
  struct Piece {
    int64_t first, trunk, branches;  // first token, and tokens
    at::Tensor mask;                 // [branches, trunk + branches] float32: what is added to the scores
  };

  std::vector<Piece> pieces_;
  at::Tensor positions_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_PACKING_H_
