// The instruction set that the kernels use, for tests, benchmarks and bug reports.
#ifndef SEEDNORM_SIMD_H_
#define SEEDNORM_SIMD_H_

#include <string>
#include <vector>

namespace seednorm {

// The targets of the library that this processor supports, best first ("AVX3", "AVX2", "SSE4", "NEON",
// "SCALAR"; Highway's names). Results have the same accuracy on all of them.
//
// "AVX3_BF16" is AVX3 where the processor rounds float32 to bfloat16 itself (AVX512_BF16), which RMSNorm,
// LayerNorm and SeeDNorm use. It gives the same bits as AVX3, except that a result of dtype bfloat16 becomes
// zero if it is subnormal before it is rounded (below 2^-126).
std::vector<std::string> simd_targets();

// The target in use.
std::string simd_target();

// Uses `target` from now on in the whole process; an empty name selects the best one again.
// Must not be called while kernels run. Throws std::invalid_argument, which lists the targets, for another
// name.
void set_simd_target(const std::string& target);

}  // namespace seednorm

#endif  // SEEDNORM_SIMD_H_
