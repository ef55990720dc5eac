// The keys and values of processed tokens, which later tokens need.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_
#define SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace seednorm::lab {

// One layer's keys and values of B sequences. The token at position p of a sequence is at index p, so that
// sequences of different lengths need neither left padding nor a mask: a query at position p attends to the
// indices up to p, and entries beyond a sequence's length are overwritten before they are used.
struct KvLayer {
  at::Tensor keys, values;              // [B, kv_heads, capacity, head_width]
  const std::vector<int64_t>* lengths;  // tokens of each sequence

  bool is_new() const;  // whether no sequence has a token yet
  // Appends k and v [B, T, kv_heads, head_width] to each sequence; KvCache::advance changes the lengths.
  void append(const at::Tensor& k, const at::Tensor& v) const;
  // Attention of q [B, T, heads, head_width], whose keys and values were appended -> the same shape. Not
  // differentiable.
  at::Tensor attend(const at::Tensor& q) const;
};

struct KvShape {
  int64_t num_layers, rows, kv_heads, capacity, head_width;
};

// The state of a model between two calls: pass it to Model::hidden, which appends its tokens.
class KvCache {
 public:
  // Has a capacity of shape.capacity tokens for each of shape.rows sequences, which start empty. Memory is
  // allocated as it is filled. dtype and device are those of the model's activations, float32 or bfloat16.
  KvCache(const KvShape& shape, const at::TensorOptions& options);

  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t capacity() const { return layers_.at(0).first.size(2); }
  // The number of tokens of each sequence, which is the position of its next token.
  const std::vector<int64_t>& lengths() const { return lengths_; }
  KvLayer layer(int64_t index) const;

  // Errors (std::invalid_argument): a sequence has no room for `tokens` more.
  void check_room(int64_t tokens) const;
  // Adds `tokens` to the length of all sequences after a pass.
  void advance(int64_t tokens);
  // A copy with these sequences in this order; a sequence may be repeated.
  KvCache select(const std::vector<int64_t>& rows) const;
  // Concatenates the sequences of caches with the same model and capacity.
  static KvCache join(const std::vector<KvCache>& caches);

 private:
  KvCache() = default;

  std::vector<std::pair<at::Tensor, at::Tensor>> layers_;  // keys, values
  std::vector<int64_t> lengths_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_
