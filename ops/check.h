// The functions of the operators' library that the Python package calls directly.
#ifndef SEEDNORM_OPS_CHECK_H_
#define SEEDNORM_OPS_CHECK_H_

#include <stdint.h>

extern "C" {

// An argument of an operator: a tensor without its memory, a number, or None.
struct seednorm_ops_value {
  double number;
  int64_t integer;  // the same number if the argument is an int or a bool
  const int64_t* sizes;
  int64_t ndim;
  const char* dtype;  // as PyTorch spells it; null if the argument is not a tensor
  const char* device;
};

// Checks a call of operator `kind` (seednorm::ops::Kind) of `norm`, whose arguments are `values`, in the
// order of the schema. Returns null and sets num_stats, or returns the error message that the operator itself
// would give; the text lives until this thread's next call.
__attribute__((visibility("default"))) const char* seednorm_ops_check(const char* norm, int32_t kind,
                                                                      const seednorm_ops_value* values,
                                                                      int64_t* num_stats);

// The description of a norm (seednorm::NormInfo) as JSON, or null for an unknown name. The text lives as long
// as the library.
//   {"params": [{"name", "role", "state_name", "shape", "forms": [...]}, ...], "options": [...],
//    "residual_add": bool, "needs_condition": bool, "starts_as": name or null}
__attribute__((visibility("default"))) const char* seednorm_ops_describe(const char* norm);

}  // extern "C"

#endif  // SEEDNORM_OPS_CHECK_H_
