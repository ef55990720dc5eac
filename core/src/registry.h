// The norms of core/norms/norms.def by name.
#ifndef SEEDNORM_CORE_SRC_REGISTRY_H_
#define SEEDNORM_CORE_SRC_REGISTRY_H_

#include <string>
#include <string_view>

#include "core/kernel/kernel_args.h"

namespace seednorm {

struct RegisteredNorm {
  const NormInfo* info;
  const NormKernels* kernels;
};

// Null pointers if there is no such norm.
RegisteredNorm find_norm(std::string_view name);

// The registered name with the smallest edit distance to `name`, for error messages.
std::string nearest_norm_name(std::string_view name);

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_REGISTRY_H_
