// SeeDNorm in C: runs forward and backward, and shows that the layer starts as RMSNorm.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seednorm/c_api.h"

enum { kRows = 4, kDim = 8 };

typedef struct parameters {
  float gamma[kDim], alpha[kDim], beta[kDim];
} parameters;

// Ends the program on any error.
static void check(seednorm_status status) {
  if (status == SEEDNORM_OK) return;
  fprintf(stderr, "%s\n", seednorm_last_error());
  exit(1);
}

static seednorm_norm* make_norm(const char* name, const seednorm_options* options) {
  seednorm_norm* norm = NULL;
  check(seednorm_norm_create(name, kDim, options, &norm));
  return norm;
}

static seednorm_const_view input(const float* data) {
  return seednorm_make_const_view(data, SEEDNORM_FLOAT32, 0);
}
static seednorm_view output(float* data) { return seednorm_make_view(data, SEEDNORM_FLOAT32, 0); }

// `stats` receives the values that backward needs; NULL if they are not kept.
static void seed_norm_forward(const seednorm_norm* norm, const float* x, const parameters* p, float* y,
                              float* stats) {
  seednorm_forward_args args = seednorm_default_forward_args();
  args.rows = kRows;
  args.x = input(x);
  args.y = output(y);
  args.params[SEEDNORM_GAMMA] = input(p->gamma);
  args.params[SEEDNORM_ALPHA] = input(p->alpha);
  args.params[SEEDNORM_BETA] = input(p->beta);
  args.stats = stats;
  check(seednorm_norm_forward(norm, &args, NULL));
}

static void rms_norm_forward(const seednorm_norm* norm, const float* x, const parameters* p, float* y) {
  seednorm_forward_args args = seednorm_default_forward_args();
  args.rows = kRows;
  args.x = input(x);
  args.y = output(y);
  args.params[SEEDNORM_GAMMA] = input(p->gamma);
  check(seednorm_norm_forward(norm, &args, NULL));
}

static void seed_norm_backward(const seednorm_norm* norm, const float* x, const float* dy, const float* stats,
                               const parameters* p, float* dx, parameters* grads) {
  size_t scratch_bytes = 0;
  check(seednorm_norm_scratch_bytes(norm, kRows, SEEDNORM_FLOAT32, &scratch_bytes));
  seednorm_backward_args args = seednorm_default_backward_args();
  args.rows = kRows;
  args.x = input(x);
  args.dy = input(dy);
  args.dx = output(dx);
  args.params[SEEDNORM_GAMMA] = input(p->gamma);
  args.params[SEEDNORM_ALPHA] = input(p->alpha);
  args.params[SEEDNORM_BETA] = input(p->beta);
  args.grads[SEEDNORM_GAMMA] = output(grads->gamma);
  args.grads[SEEDNORM_ALPHA] = output(grads->alpha);
  args.grads[SEEDNORM_BETA] = output(grads->beta);
  args.stats = stats;
  args.scratch = malloc(scratch_bytes);
  check(seednorm_norm_backward(norm, &args, NULL));
  free(args.scratch);
}

static void print(const char* what, const float* values) {
  printf("%-8s", what);
  for (int i = 0; i < kDim; ++i) printf(" %9.5f", values[i]);
  printf("\n");
}

int main(void) {
  // The inputs, and the gradient of y.
  float x[kRows * kDim], dy[kRows * kDim];
  for (int i = 0; i < kRows * kDim; ++i) {
    x[i] = (float)(i * 7 % 11) / 4.0f - 1.0f;
    dy[i] = (float)(i * 5 % 13) / 6.0f - 1.0f;
  }
  parameters p;
  for (int i = 0; i < kDim; ++i) {
    p.gamma[i] = 1.0f + 0.05f * (float)i;
    p.alpha[i] = 1.0f;
    p.beta[i] = 0.1f * (float)(i - 3);
  }
  seednorm_options options = seednorm_default_options();
  options.num_heads = 2;
  seednorm_norm* see = make_norm("seed_norm", &options);
  seednorm_norm* rms = make_norm("rms_norm", NULL);

  // The statistics of a row are 1 / RMS(x) and one dot product per head.
  int64_t num_stats = 0;
  check(seednorm_norm_num_stats(see, &num_stats));
  float* stats = malloc(kRows * (size_t)num_stats * sizeof(float));
  float y[kRows * kDim], dx[kRows * kDim];
  parameters grads;
  seed_norm_forward(see, x, &p, y, stats);
  seed_norm_backward(see, x, dy, stats, &p, dx, &grads);
  print("y", y);
  print("dx", dx);
  print("dgamma", grads.gamma);
  print("dalpha", grads.alpha);
  print("dbeta", grads.beta);

  // With beta = 0, its initial value, SeeDNorm computes the same bits as RMSNorm.
  float y_rms[kRows * kDim];
  memset(p.beta, 0, sizeof(p.beta));
  seed_norm_forward(see, x, &p, y, NULL);
  rms_norm_forward(rms, x, &p, y_rms);
  int same = 1;
  for (int i = 0; i < kRows * kDim; ++i) same = same && y[i] == y_rms[i];
  printf("beta = 0 is RMSNorm: %s\n", same ? "yes" : "NO");

  free(stats);
  seednorm_norm_destroy(rms);
  seednorm_norm_destroy(see);
  return same ? 0 : 1;
}
