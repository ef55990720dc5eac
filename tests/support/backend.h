// Where the tests run the norms. Each test program links one: the CPU's kernels (backend_cpu.cc), or those
// for GPUs, on a GPU or on the host (tests/cuda).
#ifndef SEEDNORM_TESTS_SUPPORT_BACKEND_H_
#define SEEDNORM_TESTS_SUPPORT_BACKEND_H_

#include <cstddef>
#include <string>
#include <vector>

#include "seednorm/norm.h"

namespace seednorm::test {

struct Backend {
  // Variants that must all give right results: the CPU's instruction sets; for blocks on the host, the orders
  // of their threads. An empty name sets the default.
  std::vector<std::string> (*targets)();
  void (*set_target)(const std::string& name);

  size_t (*scratch_bytes)(const Norm& norm, int64_t rows, DType data);
  void (*forward)(const Norm& norm, const ForwardArgs& args, const Executor& executor);
  void (*backward)(const Norm& norm, const BackwardArgs& args, const Executor& executor);

  bool has_threads;    // whether the executor is used
  int64_t max_chunks;  // most parts of a sum over rows
  int64_t repeats;     // of a thousand rows, for many
};
extern const Backend kBackend;

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_BACKEND_H_
