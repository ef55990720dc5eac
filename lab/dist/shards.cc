#include "lab/dist/shards.h"

#include <algorithm>

namespace seednorm::lab {

Shards::Shards(std::vector<int64_t> sizes, const std::vector<size_t>& order, int ranks,
               const std::vector<bool>& whole, int64_t bucket_elements)
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
  std::vector<int64_t> before(ranks + 1);
  for (Bucket& b : buckets_) {
    cut(&b, whole, &before);
    for (int r = 0; r < ranks; ++r) {
      for (const Piece& p : b.pieces_of(r)) ranges_[p.param][r] = p.range;
    }
  }
}

// Ranks 0 .. r - 1 get r / ranks of this bucket and of those before it, as nearly as multiples of kChunk
// within a parameter, or whole parameters, allow.
void Shards::cut(Bucket* bucket, const std::vector<bool>& whole, std::vector<int64_t>* before) const {
  const int64_t total = before->back() + bucket->count;
  bucket->cuts.push_back(0);
  for (int r = 1; r < ranks_; ++r) {
    const int64_t ideal = std::clamp<int64_t>(total * r / ranks_ - (*before)[r], 0, bucket->count);
    int64_t best = bucket->cuts.back();
    for (const Piece& p : bucket->params) {
      const int64_t within = ideal - p.offset, size = p.range.end;
      if (within < 0 || within > size) continue;
      const int64_t grain = !whole.empty() && whole[p.param] ? std::max<int64_t>(size, 1) : kChunk;
      best = std::max(best, p.offset + std::min((within + grain / 2) / grain * grain, size));
    }
    bucket->cuts.push_back(best);
  }
  bucket->cuts.push_back(bucket->count);
  for (int r = 0; r <= ranks_; ++r) (*before)[r] += bucket->cuts[r];
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
