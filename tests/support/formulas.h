// Every formula, by the name of its norm.
#ifndef SEEDNORM_TESTS_SUPPORT_FORMULAS_H_
#define SEEDNORM_TESTS_SUPPORT_FORMULAS_H_

#include <stdexcept>
#include <string_view>
#include <vector>

#include "tests/every_formula.h"  // made by CMake: formulas/NAME.h of each norm of the list

namespace seednorm::test {

// The names in norms.def; the library has norm_names(), which a test holds against this.
constexpr const char* kNormNames[] = {
#define SEEDNORM_NORM(name) #name,
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
};

// y of one row.
template <class S>
std::vector<S> formula(std::string_view norm, const Options& options, const Row<S>& in) {
#define SEEDNORM_NORM(name) \
  if (norm == #name) return name##_formula(options, in);
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
  throw std::invalid_argument("no formula of this name");
}

inline ParamKinds kinds_of(std::string_view norm, const Options& options) {
#define SEEDNORM_NORM(name) \
  if (norm == #name) return name##_kinds(options);
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
  throw std::invalid_argument("no formula of this name");
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_SUPPORT_FORMULAS_H_
