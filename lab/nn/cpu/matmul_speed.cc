#include "lab/nn/cpu/matmul_speed.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

namespace seednorm::lab {

double matmul_flops_per_s(at::ScalarType dtype) {
  using Clock = std::chrono::steady_clock;
  // Three matrices of 4 MB: large enough for full speed, small enough for 7 ms at 300 GFLOP/s.
  constexpr int64_t kSize = 1024;
  constexpr int kTimes = 6;  // the first brings code and memory in
  const at::NoGradGuard no_grad;
  const at::Tensor a = at::ones({kSize, kSize}, dtype), b = at::ones({kSize, kSize}, dtype);
  at::Tensor c = at::empty({kSize, kSize}, dtype);
  double best = 0;
  for (int i = 0; i < kTimes; ++i) {
    const Clock::time_point begin = Clock::now();
    at::mm_out(c, a, b);
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::max(best, 2.0 * kSize * kSize * kSize / seconds);
  }
  return best;
}

}  // namespace seednorm::lab
