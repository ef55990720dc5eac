// The same row through the C interface: x = (3, 4), so rstd = 1 / sqrt(12.5).
#include <math.h>
#include <seednorm/c_api.h>
#include <stdio.h>

int main(void) {
  const float x[2] = {3, 4};
  const float gamma[2] = {1, 1};
  float y[2] = {0, 0};
  seednorm_norm* norm = NULL;
  if (seednorm_norm_create("rms_norm", 2, NULL, &norm) != SEEDNORM_OK) {
    fprintf(stderr, "%s\n", seednorm_last_error());
    return 1;
  }
  seednorm_forward_args args = seednorm_default_forward_args();
  args.rows = 1;
  args.x = seednorm_make_const_view(x, SEEDNORM_FLOAT32, 0);
  args.y = seednorm_make_view(y, SEEDNORM_FLOAT32, 0);
  args.params[SEEDNORM_GAMMA] = seednorm_make_const_view(gamma, SEEDNORM_FLOAT32, 0);
  const seednorm_status status = seednorm_norm_forward(norm, &args, NULL);
  seednorm_norm_destroy(norm);
  for (int i = 0; i < 2; ++i) {
    const double expected = x[i] / sqrt(12.5);
    if (status != SEEDNORM_OK || !(fabs(y[i] - expected) < 1e-6)) {
      fprintf(stderr, "y[%d] = %g, expected %g: %s\n", i, y[i], expected, seednorm_last_error());
      return 1;
    }
  }
  printf("seednorm %s on %s\n", seednorm_version(), seednorm_simd_target());
  return 0;
}
