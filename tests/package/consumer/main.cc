// One row of RMSNorm against the formula: x = (3, 4), so rstd = 1 / sqrt(12.5).
#include <seednorm/seednorm.h>

#include <cmath>
#include <cstdio>

int main() {
  const float x[2] = {3, 4};
  const float gamma[2] = {1, 1};
  float y[2] = {};
  const seednorm::Norm norm("rms_norm", 2);
  norm.forward({.rows = 1,
                .x = seednorm::view(x),
                .y = seednorm::view(y),
                .params = {.gamma = seednorm::view(gamma)}});
  const double rstd = 1 / std::sqrt(12.5);
  for (int i = 0; i < 2; ++i) {
    if (!(std::fabs(y[i] - x[i] * rstd) < 1e-6)) return std::printf("y[%d] = %g\n", i, y[i]), 1;
  }
  std::printf("seednorm %s on %s\n", SEEDNORM_VERSION, seednorm::simd_target().c_str());
  return 0;
}
