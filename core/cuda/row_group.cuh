// The threads that work on rows together, and their sums.
#ifndef SEEDNORM_CORE_CUDA_ROW_GROUP_CUH_
#define SEEDNORM_CORE_CUDA_ROW_GROUP_CUH_

#include "core/cuda/device.cuh"

namespace seednorm::cuda {

constexpr int kWarp = 32;
constexpr uint32_t kAllLanes = 0xFFFFFFFFu;

// A group has a power of two of threads up to a warp, or several whole warps; a block has whole warps. x is
// the index of a thread within its group, and y the index of the group, so that the lanes of a group smaller
// than a warp are adjacent.
template <class A>
class RowGroup {
 public:
  static constexpr int kMaxSums = 8;  // that are summed at once

  // Shared memory for `warps` warps per block.
  static constexpr int shared_bytes(int warps) { return 2 * kMaxSums * warps * static_cast<int>(sizeof(A)); }

  SEEDNORM_DEVICE explicit RowGroup(void* shared)
      : lane(static_cast<int>(threadIdx.x)),
        size(static_cast<int>(blockDim.x)),
        index(static_cast<int>(threadIdx.y)),
        count(static_cast<int>(blockDim.y)),
        shared_(static_cast<A*>(shared)) {}

  const int lane, size, index, count;

  // Replaces each value by its sum over the group, with the same bits in all threads: within a warp by
  // exchange, whose halves commute, then over the warps in order. Afterwards, what the group wrote to shared
  // memory before can be read.
  template <int kCount>
  SEEDNORM_DEVICE void sum(A (&values)[kCount]) {
    static_assert(kCount <= kMaxSums);
    for (int offset = (size < kWarp ? size : kWarp) / 2; offset > 0; offset /= 2) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) values[i] += __shfl_xor_sync(kAllLanes, values[i], offset);
    }
    if (size <= kWarp) return __syncwarp();
    // Two buffers alternate, so that writing the next sums need not wait until all threads have read these.
    const int warps = size / kWarp;
    A* const buffer = shared_ + (turn_ * count + index) * warps * kMaxSums;
    turn_ ^= 1;
    if (lane % kWarp == 0) {
#pragma unroll
      for (int i = 0; i < kCount; ++i) buffer[lane / kWarp * kMaxSums + i] = values[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      values[i] = buffer[i];
      for (int warp = 1; warp < warps; ++warp) values[i] += buffer[warp * kMaxSums + i];
    }
  }

  // After it, what the group wrote to shared memory before can be read.
  SEEDNORM_DEVICE void sync() const {
    if (size <= kWarp) return __syncwarp();
    __syncthreads();
  }

 private:
  A* const shared_;
  int turn_ = 0;
};

// The rows that a group processes at once: the r-th is first + r step, if that is below `end`. Adjacent
// groups have adjacent rows, so that the assignment of rows to groups does not depend on how many a group
// processes at once.
struct RowsAtOnce {
  int64_t first, step, end;
  SEEDNORM_DEVICE int64_t row(int r) const { return first + r * step; }
  SEEDNORM_DEVICE bool has(int r) const { return row(r) < end; }
};

// A vector of a row.
struct At {
  int64_t row;  // the row's number in the call
  int r;        // its place among those that the group has under way
  int c;        // first column
  int n;        // columns from there to the end of the row, fewer or more than the vector has
};

// The first column of vector k of the thread, in tile `tile` of the row.
template <class T, int kVecs, class A>
SEEDNORM_DEVICE int column(const RowGroup<A>& group, int tile, int k) {
  return ((tile * kVecs + k) * group.size + group.lane) * kCols<T>;
}

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CORE_CUDA_ROW_GROUP_CUH_
