// The checks of a call for PyTorch's meta functions, which have shapes and no memory: called from Python.
#include "ops/check.h"

#include <exception>
#include <stdexcept>
#include <string>

#include "core/src/registry.h"
#include "ops/call.h"

namespace {

using seednorm::ops::TensorInfo;

// Takes the values in the order of the schema.
struct Reader {
  const seednorm_ops_value*& next;
  void operator()(const char*, const char*, const char*, TensorInfo& t) const {
    const seednorm_ops_value& value = *next++;
    if (value.dtype != nullptr) t = {true, value.ndim, value.sizes, value.dtype, value.device};
  }
  template <class T>
  void operator()(const char*, const char*, const char*, T& value) const {
    value = static_cast<T>((next++)->number);
  }
};

}  // namespace

const char* seednorm_ops_check(const char* norm, int32_t kind, const seednorm_ops_value* values,
                               int64_t* num_stats) {
  thread_local std::string message;
  try {
    const seednorm::NormInfo* const info = seednorm::find_norm(norm).info;
    if (info == nullptr) throw std::invalid_argument("no such norm");
    seednorm::ops::Arguments<TensorInfo> args;
    visit_arguments(*info, static_cast<seednorm::ops::Kind>(kind), args, Reader{values});
    *num_stats = check_call(*info, static_cast<seednorm::ops::Kind>(kind), args).norm.num_stats();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}
