// Which instruction set the kernels use; for tests, benchmarks and bug reports.
#ifndef SEEDNORM_SIMD_H_
#define SEEDNORM_SIMD_H_

#include <string>
#include <vector>

namespace seednorm {

// Targets compiled in that this processor can run, best first ("AVX3", "AVX2", "SSE4", "NEON",
// "SCALAR"; Highway's names).
std::vector<std::string> simd_targets();

// The target in use.
std::string simd_target();

// Uses `target` from now on, for the whole process; an empty name returns to the best one.
// Not for use while kernels run. Throws std::invalid_argument naming the targets that exist.
void set_simd_target(const std::string& target);

}  // namespace seednorm

#endif  // SEEDNORM_SIMD_H_
