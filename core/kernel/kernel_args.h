// The arguments that the kernels of every norm receive: checked, and as raw pointers.
#ifndef SEEDNORM_CORE_KERNEL_KERNEL_ARGS_H_
#define SEEDNORM_CORE_KERNEL_KERNEL_ARGS_H_

#include <cstddef>
#include <cstdint>

#include "core/kernel/host_device.h"
#include "core/kernel/norm_info.h"
#include "core/kernel/rounding.h"
#include "seednorm/norm.h"

namespace seednorm {

// CPU kernels process columns in units of at most this many (32 bfloat16 or 16 float32 with 512-bit vectors).
constexpr int64_t kMaxUnit = 64;
// The length of rows that CPU kernels allocate for parameters or partial sums: D, rounded up so that whole
// units of every target fit.
constexpr int64_t unit_padded(int64_t dim) { return round_up(dim, kMaxUnit); }

// A parameter as the kernels read it: value(i) = offset + data[i & mask], or `constant` without data.
struct ParamRef {
  const void* data = nullptr;
  DType dtype = DType::kFloat32;
  int64_t mask = 0;       // ~0 for a vector, 0 for a single value
  int64_t stride = 0;     // kPerSample: elements between samples
  double offset = 0.0;    // 1 for "1 + gamma"
  double constant = 0.0;  // the value of an absent parameter
};

struct RowsRef {
  const void* data = nullptr;
  int64_t stride = 0;  // elements
};

struct MutableRowsRef {
  void* data = nullptr;
  int64_t stride = 0;
};

struct KernelArgs {
  DType dtype = DType::kFloat32;  // of the data
  int64_t dim = 0;
  Options options;
  ParamRef params[kNumParams];
  int64_t rows_per_sample = 0;
  int64_t chunks_per_sample = 0;  // of backward; 0: a chunk holds one or more whole samples
  int64_t num_stats = 0;
  bool stream = false;  // non-temporal stores for y, sum and dx: the data exceed the last-level cache
  bool dropout = false;
  uint64_t seed = 0;
  uint64_t offset = 0;
  const uint64_t* device_seed = nullptr;  // on GPUs, a pointer to seed and offset that replaces these two

  RowsRef x;
  // Forward.
  MutableRowsRef y;
  RowsRef residual;  // null if there is none
  MutableRowsRef sum;
  void* stats_out = nullptr;
  // Backward.
  RowsRef dy;
  RowsRef dsum;  // null if there is none
  MutableRowsRef dx;
  const void* stats = nullptr;
  void* partials = nullptr;  // [chunks][slots][padded dim], null if no parameter gradient is requested
  View grads[kNumParams];

  SEEDNORM_HOST_DEVICE const ParamRef& param(Param p) const { return params[static_cast<int>(p)]; }
  SEEDNORM_HOST_DEVICE const View& grad(Param p) const { return grads[static_cast<int>(p)]; }
};

// The entry points of one norm, for rows [begin, end) of the call. Results do not depend on the split.
struct NormKernels {
  void (*forward)(const KernelArgs& args, int64_t begin, int64_t end);
  // `chunk` is the index of the row of `partials` to overwrite.
  void (*backward)(const KernelArgs& args, int64_t begin, int64_t end, int64_t chunk);
  // Sums a slot of partials over chunks in double, in order, and stores the parameter's gradient.
  void (*finish)(const KernelArgs& args, const Slots& slots, int64_t num_chunks, int64_t slot);
};

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_KERNEL_ARGS_H_
