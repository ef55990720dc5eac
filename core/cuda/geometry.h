// The assignment of columns to threads. It is a function of width and dtype alone, so that a row's result
// depends neither on the batch nor on the device.
#ifndef SEEDNORM_CORE_CUDA_GEOMETRY_H_
#define SEEDNORM_CORE_CUDA_GEOMETRY_H_

#include <algorithm>
#include <bit>
#include <cstdint>

#include "core/kernel/rounding.h"

namespace seednorm::cuda {

// How a group of threads processes its rows.
enum class Shape : int32_t {
  kNarrow,  // several rows at once; each thread has one 16-byte vector of each row
  kWide,    // the row is in registers (forward) or shared memory (backward) between the two passes over it
  kHuge,    // the row is read twice
};

struct Geometry {
  Shape shape;
  int lanes;   // threads per group
  int groups;  // groups per block
  int tiles;   // passes along the row, each with the vectors per thread given below
};

constexpr int kMaxLanes = 512;  // with 1,024 a thread would have only 64 of the 65,536 registers

// Rows of at most this many vectors fit in a warp with one vector per thread, which then processes several
// rows at once.
constexpr int64_t kNarrowVectors = 32;

// The number of vectors of a row, and of narrow rows, that a thread has in flight. 64 bytes per thread and
// 1,024 threads per multiprocessor are twice what keeps an H200's memory busy (4.8 TB/s in 0.7 us: 25 KB
// each).
constexpr int kForwardVecs = 4, kForwardNarrowRows = 4, kForwardWideRows = 1;
// The same for backward, for each of x and dy.
constexpr int kBackwardVecs = 2, kBackwardNarrowRows = 2;

constexpr int kForwardThreads = 128, kBackwardThreads = 256;  // per block, unless a group needs more

// Elements of a row of partial sums: D, rounded up so that whole vectors of 16 bytes of every dtype fit.
constexpr int64_t vector_padded(int64_t dim) { return round_up(dim, int64_t{8}); }

inline Geometry make_geometry(int64_t dim, int64_t cols, int vecs, int threads) {
  const int64_t vectors = (dim + cols - 1) / cols;
  if (vectors <= kNarrowVectors) {
    const int lanes = static_cast<int>(std::bit_ceil(static_cast<uint64_t>(vectors)));
    return {Shape::kNarrow, lanes, threads / lanes, 1};
  }
  const int64_t needed = (vectors + vecs - 1) / vecs;
  const int lanes =
      needed <= 16 ? 16 : static_cast<int>(std::min<int64_t>((needed + 31) / 32 * 32, kMaxLanes));
  const int tiles = static_cast<int>((needed + lanes - 1) / lanes);
  return {tiles == 1 ? Shape::kWide : Shape::kHuge, lanes, std::max(1, threads / lanes), tiles};
}

// `cols`: columns in 16 bytes of the dtype.
inline Geometry forward_geometry(int64_t dim, int64_t cols) {
  return make_geometry(dim, cols, kForwardVecs, kForwardThreads);
}
inline Geometry backward_geometry(int64_t dim, int64_t cols) {
  return make_geometry(dim, cols, kBackwardVecs, kBackwardThreads);
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_GEOMETRY_H_
