// Random initial values of parameters.
#ifndef SEEDNORM_LAB_NN_INITIAL_H_
#define SEEDNORM_LAB_NN_INITIAL_H_

#include <ATen/CPUGeneratorImpl.h>

#include <cstdint>
#include <string>

namespace seednorm::lab {

// The random numbers of one parameter, chosen by its name, so that models that differ in their norms share
// the other weights.
inline at::Generator generator_of(uint64_t seed, const std::string& name) {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  return at::detail::createCPUGenerator(seed ^ hash);
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_INITIAL_H_
