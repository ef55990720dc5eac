// Finds the norms of core/norms/norms.def by name.
#ifndef SEEDNORM_CORE_SRC_REGISTRY_H_
#define SEEDNORM_CORE_SRC_REGISTRY_H_

#include <span>
#include <string>
#include <string_view>

#include "core/kernel/norm_info.h"

namespace seednorm {

// All norms, in the order of the list.
std::span<const NormInfo> all_norms();

// The norm of this name, or null.
const NormInfo* find_norm(std::string_view name);

// The registered name with the smallest edit distance to `name`, for error messages.
std::string nearest_norm_name(std::string_view name);

}  // namespace seednorm

#endif  // SEEDNORM_CORE_SRC_REGISTRY_H_
