// The instruction set that the kernels use, for tests, benchmarks and bug reports.
#ifndef SEEDNORM_SIMD_H_
#define SEEDNORM_SIMD_H_

#include <string>
#include <vector>

namespace seednorm {

// The targets in the library that this processor can run, best first ("AVX3", "AVX2", "SSE4", "NEON",
// "SCALAR"; Highway's names).
std::vector<std::string> simd_targets();

// The target in use.
std::string simd_target();

// Uses `target` from now on, for the whole process; an empty name returns to the best one.
// It must not be called while kernels run. Throws std::invalid_argument with the names of the targets.
void set_simd_target(const std::string& target);

}  // namespace seednorm

#endif  // SEEDNORM_SIMD_H_
