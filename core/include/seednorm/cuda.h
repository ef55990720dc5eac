// The norms on NVIDIA GPUs (compute capability 8.0 and later), in the library seednorm::cuda.
//
//   seednorm::Norm norm("seed_norm", 4096, {.num_heads = 16});
//   seednorm::cuda::forward(norm, {.rows = n, .x = ..., .y = ..., .params = ...}, {.stream = stream});
//
// Arguments, mathematics and numerics are those of norm.h; all memory belongs to the current device. Calls
// queue work and return. They neither allocate nor wait, and can be captured in a CUDA graph.
#ifndef SEEDNORM_CUDA_H_
#define SEEDNORM_CUDA_H_

#include <cstddef>
#include <cstdint>

#include "seednorm/norm.h"

struct CUstream_st;

namespace seednorm::cuda {

using Stream = CUstream_st*;  // cudaStream_t; null means the default stream

// How a call is queued.
struct Queue {
  Stream stream = nullptr;
  // Device memory with the seed and offset of dropout, so that a graph reads new ones each time it is
  // replayed. If it is null, those of the arguments are used.
  const uint64_t* seed = nullptr;
};

// The maximum number of heads, for which the kernels have shared memory, and the maximum width of a row.
constexpr int64_t kMaxHeads = 1024, kMaxDim = int64_t{1} << 30;

// The maximum number of chunks of rows that backward sums separately, and the minimum number of rows per
// chunk. They are part of the definition of the results, so that all devices give the same bits. 264 is two
// blocks for each of the 132 multiprocessors of H100 and H200.
constexpr int64_t kMaxChunks = 264, kMinChunkRows = 16;

// Bytes of scratch that backward needs for parameter gradients, aligned to 16 bytes. Norm::scratch_bytes is
// for the CPU.
size_t scratch_bytes(const Norm& norm, int64_t rows, DType data_dtype = DType::kFloat32);

// The same as Norm::forward and Norm::backward. A row's y, stats and dx do not depend on the other rows, on
// strides or on alignment, and parameter gradients are sums in a fixed order, without atomics. All results
// are bitwise the same on every device of one architecture. They agree with the CPU's within the rounding of
// float32 sums; dropout's mask is the same.
//
// Errors: std::invalid_argument for wrong arguments, as in norm.h, and for a width or number of heads beyond
// the limits above; std::runtime_error if CUDA reports an error.
void forward(const Norm& norm, const ForwardArgs& args, const Queue& queue = {});
void backward(const Norm& norm, const BackwardArgs& args, const Queue& queue = {});

}  // namespace seednorm::cuda

#endif  // SEEDNORM_CUDA_H_
