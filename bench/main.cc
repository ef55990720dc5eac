// seednorm-bench-norm: see norm_bench.h.
#include <iostream>
#include <string>
#include <vector>

#include "bench/alloc_count.h"
#include "bench/norm_bench.h"

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  return seednorm::bench::run_norm_bench(args, seednorm::bench::count_allocations, std::cout, std::cerr);
}
