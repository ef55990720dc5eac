#include "lab/nn/matmul_speed.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <chrono>

#include "lab/nn/cpu/multiply.h"
#include "lab/nn/cpu/products.h"

namespace seednorm::lab {

double matmul_flops_per_s(at::ScalarType dtype, at::Device device) {
  using Clock = std::chrono::steady_clock;
  // On the CPU, three matrices of 4 MB: large enough for full speed, small enough for 7 ms at 300 GFLOP/s.
  const int64_t size = device.is_cpu() ? 1024 : 8192;
  constexpr int kTimes = 6;  // the first brings code and memory in
  const at::NoGradGuard no_grad;
  const auto options = at::TensorOptions(device.is_cpu() ? product_dtype(dtype) : dtype).device(device);
  const at::Tensor a = at::ones({size, size}, options), b = at::ones({size, size}, options);
  at::Tensor c = at::empty({size, size}, options);
  const auto wait = [&] { return device.is_cpu() ? 0 : c[0][0].item<double>(); };
  double best = 0;
  for (int i = 0; i < kTimes; ++i) {
    wait();
    const Clock::time_point begin = Clock::now();
    if (multiplies_by_onednn(c, a, b)) {
      multiply(c, a, b);
    } else {
      at::mm_out(c, a, b);
    }
    wait();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    const auto n = static_cast<double>(size);
    best = std::max(best, 2 * n * n * n / seconds);
  }
  return best;
}

}  // namespace seednorm::lab
