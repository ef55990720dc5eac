#include "lab/language/nn/kv_cache.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "lab/base/parallel.h"
#include "lab/nn/cpu/row_kernels.h"
#include "lab/nn/device.h"
#include "lab/nn/dtype.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// The minimum number of products per thread.
constexpr int64_t kThreadProducts = 16384;

const std::byte* at_element(const Tensor& t, int64_t index) {
  return static_cast<const std::byte*>(t.const_data_ptr()) + index * t.element_size();
}
std::byte* at_element_to_write(const Tensor& t, int64_t index) {
  return static_cast<std::byte*>(t.mutable_data_ptr()) + index * t.element_size();
}

// tokens [B, T, heads, width] to indices lengths[b] .. lengths[b] + T - 1 of cache [B, heads, capacity,
// width].
void put(const Tensor& tokens, const std::vector<int64_t>& lengths, const Tensor& cache) {
  if (!uses_cpu_kernels(cache)) {
    for (int64_t row = 0; row < tokens.size(0); ++row) {
      cache[row]
          .narrow(1, lengths[static_cast<size_t>(row)], tokens.size(1))
          .copy_(tokens[row].transpose(0, 1));
    }
    return;
  }
  require_cpu("cache of keys and values", {tokens});
  const Tensor from = tokens.contiguous();
  const int64_t count = from.size(1), heads = from.size(2), width = from.size(3), capacity = cache.size(2);
  for (int64_t i = 0; i < from.size(0) * count * heads; ++i) {
    const int64_t head = i % heads, token = i / heads % count, row = i / heads / count;
    const int64_t index = lengths[static_cast<size_t>(row)] + token;
    std::memcpy(at_element_to_write(cache, ((row * heads + head) * capacity + index) * width),
                at_element(from, i * width), static_cast<size_t>(width * from.element_size()));
  }
}

// KvLayer::attend in plain tensors.
Tensor attend_plain(const Tensor& q, const KvLayer& layer) {
  const int64_t tokens = q.size(1);
  const int64_t longest = *std::max_element(layer.lengths->begin(), layer.lengths->end()) + tokens;
  const auto options = at::TensorOptions(at::kLong).device(q.device());
  const Tensor last =  // the index up to which each query attends, [B, 1, T, 1]
      (at::tensor(*layer.lengths, options).unsqueeze(1) + at::arange(tokens, options))
          .view({-1, 1, tokens, 1});
  return at::scaled_dot_product_attention(
             q.transpose(1, 2), layer.keys.narrow(2, 0, longest), layer.values.narrow(2, 0, longest),
             at::arange(longest, options) <= last, /*dropout_p=*/0, /*is_causal=*/false, /*scale=*/{},
             /*enable_gqa=*/q.size(2) != layer.keys.size(1))
      .transpose(1, 2);
}

}  // namespace

bool KvLayer::is_new() const {
  return std::all_of(lengths->begin(), lengths->end(), [](int64_t length) { return length == 0; });
}

void KvLayer::append(const Tensor& k, const Tensor& v) const {
  put(k, *lengths, keys);
  put(v, *lengths, values);
}

Tensor KvLayer::attend(const Tensor& q) const {
  if (!uses_cpu_kernels(q)) return attend_plain(q, *this);
  require_cpu("attention over a cache", {keys, values});
  const int64_t tokens = q.size(1), width = q.size(3), kv_heads = keys.size(1), group = q.size(2) / kv_heads;
  const Tensor queries = q.contiguous(), out = at::empty_like(queries);
  const int64_t longest = *std::max_element(lengths->begin(), lengths->end()) + tokens;
  const int64_t grain = std::max<int64_t>(kThreadProducts / (longest * group * width), 1);
  parallel_for(0, q.size(0) * tokens * kv_heads, grain, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(group * longest);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t head = i % kv_heads, token = i / kv_heads % tokens, row = i / kv_heads / tokens;
      const int64_t first = (row * kv_heads + head) * keys.size(2) * width;
      attend_rows({.dtype = dtype_of(q),
                   .q = at_element(queries, i * group * width),
                   .k = at_element(keys, first),
                   .v = at_element(values, first),
                   .out = at_element_to_write(out, i * group * width),
                   .scores = scores.data(),
                   .group = group,
                   .width = width,
                   .length = (*lengths)[row] + token + 1,
                   .scale = 1 / std::sqrt(static_cast<float>(width))});
    }
  });
  return out;
}

KvCache::KvCache(const KvShape& s, const at::TensorOptions& options) : lengths_(s.rows, 0) {
  const auto make = [&] {
    const Tensor out = at::empty({s.rows, s.kv_heads, s.capacity, s.head_width}, options);
    // In plain tensors, entries that a mask hides are read.
    return uses_cpu_kernels(out) ? out : out.zero_();
  };
  for (int64_t i = 0; i < s.num_layers; ++i) layers_.emplace_back(make(), make());
}

KvLayer KvCache::layer(int64_t index) const {
  const auto& [keys, values] = layers_.at(static_cast<size_t>(index));
  return {keys, values, &lengths_};
}

void KvCache::check_room(int64_t tokens) const {
  const int64_t longest = *std::max_element(lengths_.begin(), lengths_.end());
  if (longest + tokens > capacity()) {
    throw std::invalid_argument("cache: room for " + std::to_string(capacity()) + " tokens, got " +
                                std::to_string(longest + tokens));
  }
}

void KvCache::advance(int64_t tokens) {
  for (int64_t& length : lengths_) length += tokens;
}

KvCache KvCache::select(const std::vector<int64_t>& rows) const {
  const Tensor index = at::tensor(rows, layers_.at(0).first.options().dtype(at::kLong));
  KvCache out;
  for (const auto& [keys, values] : layers_) {
    out.layers_.emplace_back(keys.index_select(0, index), values.index_select(0, index));
  }
  for (const int64_t row : rows) out.lengths_.push_back(lengths_.at(static_cast<size_t>(row)));
  return out;
}

KvCache KvCache::join(const std::vector<KvCache>& caches) {
  KvCache out;
  for (size_t i = 0; i < caches.at(0).layers_.size(); ++i) {
    std::vector<Tensor> keys, values;
    for (const KvCache& cache : caches) {
      keys.push_back(cache.layers_[i].first);
      values.push_back(cache.layers_[i].second);
    }
    out.layers_.emplace_back(at::cat(keys), at::cat(values));
  }
  for (const KvCache& cache : caches) {
    out.lengths_.insert(out.lengths_.end(), cache.lengths_.begin(), cache.lengths_.end());
  }
  return out;
}

}  // namespace seednorm::lab
