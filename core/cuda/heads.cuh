// The heads of SeeDNorm's rows: sums per head, and one value per head for its columns.
#ifndef SEEDNORM_CORE_CUDA_HEADS_CUH_
#define SEEDNORM_CORE_CUDA_HEADS_CUH_

#include "core/cuda/geometry.h"
#include "core/cuda/row_group.cuh"

namespace seednorm::cuda {

// The maximum shared memory for the sums of a block's vectors. Wider rows are read again, head by head.
constexpr int64_t kMaxDotBytes = 32 * 1024;

// Whether no vector straddles two heads, and there is room for a number for each vector.
template <class T>
SEEDNORM_HOST_DEVICE bool whole_vectors(const KernelArgs& args, int64_t rows_a_block) {
  const int64_t vectors = (args.dim + kCols<T> - 1) / kCols<T>;
  return args.options.num_heads == 1 ||
         (args.dim / args.options.num_heads % kCols<T> == 0 &&
          vectors * rows_a_block * static_cast<int64_t>(sizeof(Acc<T>)) <= kMaxDotBytes);
}

// Calls use(r, head, sum) in one thread for each head of each of kRows rows: the sum of element(r, head, j)
// for j < terms. Several lanes share a head: how many is a function of the shape. All threads of the group
// call this.
template <int kRows, class A, class Element, class Use>
SEEDNORM_DEVICE void sum_by_head(const RowGroup<A>& group, int heads, int terms, const Element& element,
                                 const Use& use) {
  const int work = kRows * heads, widest = group.size < kWarp ? group.size : kWarp;
  int lanes = 1;
  while (2 * lanes <= widest && 2 * lanes * work <= group.size && lanes < terms) lanes *= 2;
  const int share = group.lane % lanes, step = group.size / lanes;
  for (int begin = 0; begin < work; begin += step) {
    const int i = begin + group.lane / lanes, r = i / heads, head = i % heads;
    A total = 0;
    if (i < work) {
      for (int j = share; j < terms; j += lanes) total += element(r, head, j);
    }
    for (int offset = lanes / 2; offset > 0; offset /= 2) {
      total += __shfl_xor_sync(kAllLanes, total, offset);
    }
    if (i < work && share == 0) use(r, head, total);
  }
}

// For the kRows rows of a group: numbers of each vector (dots), if heads are of whole vectors, and kValues of
// each head, in shared memory. With one head none of it is used.
template <class T, int kValues>
class Heads {
 public:
  using A = Acc<T>;

  static int shared_bytes(const KernelArgs& args, const Geometry& g, int rows) {
    if (args.options.num_heads == 1) return 0;
    const int64_t block_rows = static_cast<int64_t>(g.groups) * rows;
    const int64_t dots = whole_vectors<T>(args, block_rows) ? (args.dim + kCols<T> - 1) / kCols<T> : 0;
    const int64_t bytes =
        block_rows * (dots + kValues * args.options.num_heads) * static_cast<int64_t>(sizeof(A));
    return static_cast<int>((bytes + 15) / 16 * 16);
  }

  SEEDNORM_DEVICE Heads(const KernelArgs& args, const RowGroup<A>& group, void* shared, int rows)
      : count(static_cast<int>(args.options.num_heads)),
        cols(static_cast<int>(args.dim) / count),
        whole(whole_vectors<T>(args, static_cast<int64_t>(group.count) * rows)),
        vectors_(whole ? (static_cast<int>(args.dim) + kCols<T> - 1) / kCols<T> : 0),
        dots_(static_cast<A*>(shared) + group.index * rows * vectors_),
        values_(static_cast<A*>(shared) + group.count * rows * vectors_ +
                group.index * rows * kValues * count) {}

  const int count, cols;  // heads, and columns of one
  const bool whole;       // see whole_vectors

  // The number of the vector at column c of the group's r-th row.
  SEEDNORM_DEVICE void set_dot(int r, int c, A dot) { dots_[r * vectors_ + c / kCols<T>] = dot; }
  SEEDNORM_DEVICE A& value(int which, int r, int head) {
    return values_[(r * kValues + which) * count + head];
  }
  // The value of the head of column c.
  SEEDNORM_DEVICE A at(int which, int r, int c) const {
    return values_[(r * kValues + which) * count + c / cols];
  }

  // Calls use(r, head, sum), as sum_by_head does, with the sum of the head's dots, or of term(r, c) over its
  // columns, after what was written of dots was made visible.
  template <int kRows, class Term, class Use>
  SEEDNORM_DEVICE void sum(const RowGroup<A>& group, const Term& term, const Use& use) const {
    const int terms = whole ? cols / kCols<T> : cols;
    const auto element = [&](int r, int head, int j) {
      return whole ? dots_[r * vectors_ + head * terms + j] : term(r, head * cols + j);
    };
    sum_by_head<kRows, A>(group, count, terms, element, use);
  }

 private:
  const int vectors_;
  A* const dots_;
  A* const values_;
};

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_HEADS_CUH_
