// The checks of a call for PyTorch's meta functions, which know shapes only. Python calls them.
#include "ops/check.h"

#include <exception>
#include <optional>
#include <stdexcept>
#include <string>

#include "ops/call.h"

namespace {

using seednorm::ops::TensorInfo;

// Takes the values in the order of the schema.
class Reader {
 public:
  explicit Reader(const seednorm_ops_value* first) : next_(first) {}

  void operator()(const char*, const char*, const char*, TensorInfo& t) const {
    const seednorm_ops_value& value = *next_++;
    if (value.dtype == nullptr) return;
    t = {true, value.ndim, value.sizes, dtype_of(value.dtype), value.dtype, value.device};
  }
  void operator()(const char*, const char*, const char*, double& value) const { value = (next_++)->number; }
  void operator()(const char*, const char*, const char*, int64_t& value) const { value = (next_++)->integer; }
  void operator()(const char*, const char*, const char*, bool& value) const {
    value = (next_++)->integer != 0;
  }

 private:
  static std::optional<seednorm::DType> dtype_of(const std::string& name) {
    for (int i = 0; i < seednorm::kNumDTypes; ++i) {
      if (name == name_of(static_cast<seednorm::DType>(i))) return static_cast<seednorm::DType>(i);
    }
    return std::nullopt;
  }

  mutable const seednorm_ops_value* next_;
};

}  // namespace

const char* seednorm_ops_check(const char* norm, int32_t kind, const seednorm_ops_value* values,
                               int64_t* num_stats) {
  thread_local std::string message;
  try {
    if (kind < 0 || kind >= seednorm::ops::kNumKinds) throw std::invalid_argument("no such operator");
    const seednorm::NormInfo& info = seednorm::norm_info(norm);
    seednorm::ops::Arguments<TensorInfo> args;
    visit_arguments(info, static_cast<seednorm::ops::Kind>(kind), args, Reader(values));
    *num_stats = check_call(info, static_cast<seednorm::ops::Kind>(kind), args).norm.num_stats();
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}
