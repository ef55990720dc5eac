// CUDA's language on the host: included before everything else when core/cuda is compiled by an ordinary
// compiler, so that the sources that nvcc compiles for a GPU run in a test. Blocks run one after the other,
// the threads of a block in turns: each goes on until it has to wait for others (host_block.cc).
#ifndef SEEDNORM_TESTS_CUDA_HOST_DEVICE_H_
#define SEEDNORM_TESTS_CUDA_HOST_DEVICE_H_

#include <cstdint>
#include <cstring>
#include <functional>

// NOLINTBEGIN(bugprone-reserved-identifier): the names are CUDA's.
#define __global__
#define __device__
#define __grid_constant__
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  explicit dim3(unsigned x, unsigned y = 1) : x(x), y(y) {}
};

namespace seednorm::cuda {

// What differs between the threads of a block, and is the same for all.
struct HostThread {
  dim3 thread_index{0, 0}, block_index{0, 0}, block_size{1, 1};
};
const HostThread& host_thread();
unsigned char* host_shared_memory();
int host_max_shared_bytes();
void host_launch(dim3 grid, dim3 block, int shared_bytes, const std::function<void()>& kernel);
// Waits for all threads of the block, or of the warp.
void host_wait_for_block();
void host_wait_for_warp();
// Memory that the lanes of a warp exchange numbers by: of the thread, and of another lane. Two in turns.
void* host_exchange(int turn, int lane_distance);
int host_next_turn();

}  // namespace seednorm::cuda

#define threadIdx (::seednorm::cuda::host_thread().thread_index)
#define blockIdx (::seednorm::cuda::host_thread().block_index)
#define blockDim (::seednorm::cuda::host_thread().block_size)

inline void __syncthreads() { seednorm::cuda::host_wait_for_block(); }
inline void __syncwarp() { seednorm::cuda::host_wait_for_warp(); }

template <class A>
A __shfl_xor_sync(uint32_t, A value, int lane_distance) {
  const int turn = seednorm::cuda::host_next_turn();
  std::memcpy(seednorm::cuda::host_exchange(turn, 0), &value, sizeof(value));
  seednorm::cuda::host_wait_for_warp();
  std::memcpy(&value, seednorm::cuda::host_exchange(turn, lane_distance), sizeof(value));
  return value;
}

// NOLINTEND(bugprone-reserved-identifier)

#endif  // SEEDNORM_TESTS_CUDA_HOST_DEVICE_H_
