// Which elements of which parameters a rank updates (ZeRO-1, arXiv 1910.02054), and the buckets in which
// gradients travel.
#ifndef SEEDNORM_LAB_DIST_SHARDS_H_
#define SEEDNORM_LAB_DIST_SHARDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace seednorm::lab {

// Elements begin .. end - 1 of a parameter.
struct Range {
  int64_t begin = 0, end = 0;
  int64_t count() const { return end - begin; }
};

// Elements of a parameter in a bucket.
struct Piece {
  size_t param;
  Range range;
  int64_t offset;  // of its first element in the bucket
};

class Shards {
 public:
  // Parts of a parameter begin at multiples of this many elements. It is also the length of the sums from
  // which the gradient's norm is made.
  static constexpr int64_t kChunk = 4096;

  // Parameters of these numbers of elements. `order` has all their numbers, in the order in which backward is
  // expected to compute their gradients. `whole` says which of them one rank must have all of; if it is
  // empty, none. A bucket has at most `bucket_elements`, but at least one parameter.
  Shards(std::vector<int64_t> sizes, const std::vector<size_t>& order, int ranks,
         const std::vector<bool>& whole = {}, int64_t bucket_elements = int64_t{1} << 22);

  struct Bucket {
    std::vector<Piece> params;  // whole parameters
    int64_t count = 0;
    std::vector<int64_t> cuts;  // rank r has elements cuts[r] .. cuts[r + 1] - 1
    int64_t count_of(int rank) const { return cuts[rank + 1] - cuts[rank]; }
    // The pieces that a rank has, with offsets from its own first element.
    std::vector<Piece> pieces_of(int rank) const;
  };

  int ranks() const { return ranks_; }
  const std::vector<int64_t>& sizes() const { return sizes_; }
  const std::vector<Bucket>& buckets() const { return buckets_; }
  // The bucket that has this parameter.
  size_t bucket_of(size_t param) const { return bucket_of_[param]; }
  // What the rank has of this parameter: one range, possibly empty.
  Range range_of(size_t param, int rank) const { return ranges_[param][rank]; }

 private:
  // Cuts the next bucket; before[r] is what ranks 0 .. r - 1 have of the buckets before it, then of it too.
  void cut(Bucket* bucket, const std::vector<bool>& whole, std::vector<int64_t>* before) const;

  std::vector<int64_t> sizes_;
  int ranks_;
  std::vector<Bucket> buckets_;
  std::vector<size_t> bucket_of_;
  std::vector<std::vector<Range>> ranges_;  // by parameter and rank
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_DIST_SHARDS_H_
