#include "lab/dist/shards.h"

#include <algorithm>

namespace seednorm::lab {

Shards::Shards(std::vector<int64_t> sizes, const std::vector<size_t>& order, int ranks,
               int64_t bucket_elements)
    : sizes_(std::move(sizes)),
      ranks_(ranks),
      bucket_of_(sizes_.size()),
      ranges_(sizes_.size(), std::vector<Range>(ranks)) {
  for (const size_t i : order) {
    if (buckets_.empty() || buckets_.back().count + sizes_[i] > bucket_elements) buckets_.emplace_back();
    Bucket& b = buckets_.back();
    b.params.push_back({i, {0, sizes_[i]}, b.count});
    b.count += sizes_[i];
    bucket_of_[i] = buckets_.size() - 1;
  }
  for (Bucket& b : buckets_) {
    cut(&b);
    for (int r = 0; r < ranks; ++r) {
      for (const Piece& p : b.pieces_of(r)) ranges_[p.param][r] = p.range;
    }
  }
}

// The cuts are as near to equal parts as multiples of kChunk within a parameter are.
void Shards::cut(Bucket* bucket) const {
  bucket->cuts.push_back(0);
  for (int r = 1; r < ranks_; ++r) {
    const int64_t ideal = bucket->count * r / ranks_;
    int64_t best = bucket->cuts.back();
    for (const Piece& p : bucket->params) {
      if (ideal < p.offset || ideal >= p.offset + p.range.end) continue;
      const int64_t within = (ideal - p.offset + kChunk / 2) / kChunk * kChunk;
      best = std::max(best, p.offset + std::min(within, p.range.end));
    }
    bucket->cuts.push_back(best);
  }
  bucket->cuts.push_back(bucket->count);
}

std::vector<Piece> Shards::Bucket::pieces_of(int rank) const {
  std::vector<Piece> out;
  for (const Piece& p : params) {
    const int64_t begin = std::max(cuts[rank], p.offset);
    const int64_t end = std::min(cuts[rank + 1], p.offset + p.range.end);
    if (begin < end) out.push_back({p.param, {begin - p.offset, end - p.offset}, begin - cuts[rank]});
  }
  return out;
}

}  // namespace seednorm::lab
