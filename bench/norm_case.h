// A norm with all it needs to run on given tensors: parameters, gradients, saved statistics, scratch.
#ifndef SEEDNORM_BENCH_NORM_CASE_H_
#define SEEDNORM_BENCH_NORM_CASE_H_

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "bench/norm_options.h"
#include "seednorm/norm.h"

namespace seednorm::bench {

// The tensors every variant of a measurement shares, R * D elements each.
struct Tensors {
  const void* x;
  const void* dy;
  void* out;  // y, dx
};

struct NormShape {
  int64_t rows;
  int64_t cols;
  DType dtype;
  DType param_dtype;
};

// Not to be moved or copied: its arguments point into it.
class NormCase {
 public:
  // Throws std::invalid_argument as Norm does.
  NormCase(const NormSpec& spec, const NormShape& shape, bool save_stats);
  NormCase(const NormCase&) = delete;
  NormCase& operator=(const NormCase&) = delete;

  void forward(const Tensors& tensors, const Executor& executor);
  // Computes what backward reads of forward; once, before backward.
  void prepare_backward(const Tensors& tensors, const Executor& executor);
  void backward(const Tensors& tensors, const Executor& executor);

  const Params& params() const { return forward_.params; }
  const ParamGrads& grads() const { return backward_.grads; }  // of the last backward

 private:
  void make_param(Param param);
  void* new_block(size_t bytes);  // zeros

  struct Free {
    void operator()(void* p) const { std::free(p); }
  };

  Norm norm_;
  NormShape shape_;
  ForwardArgs forward_;
  BackwardArgs backward_;
  std::vector<std::unique_ptr<void, Free>> blocks_;
  void* stats_ = nullptr;
};

// The first `count` of a fixed sequence of normal random numbers that repeats after a million and three,
// begun at `start`, as elements of `dtype`; written by the executor's threads, each its own part.
void fill_normal(void* out, int64_t count, DType dtype, int64_t start, const Executor& executor);

}  // namespace seednorm::bench

#endif  // SEEDNORM_BENCH_NORM_CASE_H_
