// What attention keeps of the tokens a model has seen, so that the next ones need not see them again.
#ifndef SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_
#define SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_

#include <ATen/core/Tensor.h>

#include <vector>

namespace seednorm::lab {

// One layer's keys and values of B sequences. The token at position p of a sequence is at index p, so that
// sequences of different lengths need neither padding on the left nor a mask: a query at position p sees the
// indices up to p, and what lies beyond a sequence's length is overwritten before anything sees it.
struct KvLayer {
  at::Tensor keys, values;              // [B, kv_heads, capacity, head_width]
  const std::vector<int64_t>* lengths;  // tokens of each sequence

  bool is_new() const;  // no sequence has a token yet
  // Puts k and v [B, T, kv_heads, head_width] behind each sequence; lengths are changed by KvCache::advance.
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
  // Room for shape.capacity tokens of shape.rows sequences, which are empty at first. Memory is taken as it
  // is filled. dtype: the model's activations', float32 or bfloat16.
  KvCache(const KvShape& shape, at::ScalarType dtype);

  int64_t rows() const { return static_cast<int64_t>(lengths_.size()); }
  int64_t capacity() const { return layers_.at(0).first.size(2); }
  // Tokens of each sequence: the position of its next one.
  const std::vector<int64_t>& lengths() const { return lengths_; }
  KvLayer layer(int64_t index) const;

  // Errors (std::invalid_argument): a sequence has no room for so many more.
  void check_room(int64_t tokens) const;
  // After a pass: all sequences have `tokens` more.
  void advance(int64_t tokens);
  // A copy with these sequences, in this order; one may be there several times.
  KvCache select(const std::vector<int64_t>& rows) const;
  // Sequences of caches of one model and capacity, one after the other.
  static KvCache join(const std::vector<KvCache>& caches);

 private:
  KvCache() = default;

  std::vector<std::pair<at::Tensor, at::Tensor>> layers_;  // keys, values
  std::vector<int64_t> lengths_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_NN_KV_CACHE_H_
