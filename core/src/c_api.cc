// The C surface over Norm: every function copies its structs, calls C++ and turns exceptions into a status.
#include "seednorm/c_api.h"

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/src/c_api_args.h"
#include "seednorm/norm.h"
#include "seednorm/parallel.h"
#include "seednorm/simd.h"

struct seednorm_norm {
  seednorm::Norm norm;
};

namespace seednorm::c_api {
namespace {

thread_local std::string t_last_error;
thread_local const char* t_last_error_text = "";

seednorm_status fail(seednorm_status status, const char* message) noexcept {
  try {
    t_last_error = message;
    t_last_error_text = t_last_error.c_str();
  } catch (...) {
    t_last_error_text = "out of memory";
  }
  return status;
}

// Runs `body`; what it throws becomes a status.
template <class Body>
seednorm_status guarded(Body body) noexcept {
  try {
    body();
    return SEEDNORM_OK;
  } catch (const std::invalid_argument& error) {
    return fail(SEEDNORM_INVALID_ARGUMENT, error.what());
  } catch (const std::exception& error) {
    return fail(SEEDNORM_INTERNAL, error.what());
  } catch (...) {
    return fail(SEEDNORM_INTERNAL, "unknown error");
  }
}

// Without a norm there is no layer to name in the message.
const Norm& norm_of(const seednorm_norm* norm) {
  check_pointer(norm, {"norm", "", "norm"});
  return norm->norm;
}

// A query of a norm: *result = get(norm), with `what` naming the result.
template <class T, class Get>
seednorm_status query(const seednorm_norm* norm, T* result, const char* what, Get get) noexcept {
  return guarded([&] {
    const Norm& n = norm_of(norm);
    check_pointer(result, {n.name().c_str(), "", what});
    *result = get(n);
  });
}

// As a null-terminated array of C strings.
std::vector<const char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

extern "C" {

seednorm_status seednorm_norm_create(const char* name, int64_t dim, const seednorm_options* options,
                                     seednorm_norm** norm) {
  return guarded([&] {
    check_pointer(name, {"norm", "", "name"});
    check_pointer(norm, {name, "", "norm"});
    Options cpp_options;
    if (options != nullptr) cpp_options = options_of(copy_of(options, {name, "", "options"}), name);
    *norm = new seednorm_norm{Norm(name, dim, cpp_options)};
  });
}

void seednorm_norm_destroy(seednorm_norm* norm) { delete norm; }

seednorm_status seednorm_norm_num_stats(const seednorm_norm* norm, int64_t* num_stats) {
  return query(norm, num_stats, "num_stats", [](const Norm& n) { return n.num_stats(); });
}

seednorm_status seednorm_norm_scratch_bytes(const seednorm_norm* norm, int64_t rows, int32_t dtype,
                                            size_t* bytes) {
  return query(norm, bytes, "bytes", [&](const Norm& n) {
    const char* const layer = n.name().c_str();
    if (rows < 0) reject({layer, "", "rows"}, "", "at least 0", std::to_string(rows));
    return n.scratch_bytes(rows, checked<DType>(dtype, kNumDTypes, {layer, "", "dtype"}));
  });
}

seednorm_status seednorm_norm_param_kind(const seednorm_norm* norm, int32_t param, int32_t* kind) {
  return query(norm, kind, "kind", [&](const Norm& n) {
    return static_cast<int32_t>(n.kind(checked<Param>(param, kNumParams, {n.name().c_str(), "", "param"})));
  });
}

seednorm_status seednorm_norm_initial_value(const seednorm_norm* norm, int32_t param, double* value) {
  return query(norm, value, "value", [&](const Norm& n) {
    return n.initial_value(checked<Param>(param, kNumParams, {n.name().c_str(), "", "param"}));
  });
}

seednorm_status seednorm_norm_forward(const seednorm_norm* norm, const seednorm_forward_args* args,
                                      const seednorm_executor* executor) {
  return guarded([&] {
    const Norm& n = norm_of(norm);
    const char* const layer = n.name().c_str();
    n.forward(forward_args_of(copy_of(args, {layer, "", "args"}), layer), executor_of(executor, layer));
  });
}

seednorm_status seednorm_norm_backward(const seednorm_norm* norm, const seednorm_backward_args* args,
                                       const seednorm_executor* executor) {
  return guarded([&] {
    const Norm& n = norm_of(norm);
    const char* const layer = n.name().c_str();
    n.backward(backward_args_of(copy_of(args, {layer, "", "args"}), layer), executor_of(executor, layer));
  });
}

const char* const* seednorm_norm_names(void) {
  try {
    static const std::vector<std::string> names = norm_names();
    static const std::vector<const char*> pointers = pointers_to(names);
    return pointers.data();
  } catch (...) {
    return nullptr;
  }
}

const char* seednorm_param_name(int32_t param) {
  return param >= 0 && param < kNumParams ? name_of(static_cast<Param>(param)) : nullptr;
}

seednorm_status seednorm_set_num_threads(int32_t num_threads) {
  return guarded([&] { set_num_threads(num_threads); });
}

int32_t seednorm_num_threads(void) { return num_threads(); }

const char* seednorm_last_error(void) { return t_last_error_text; }

const char* seednorm_version(void) { return SEEDNORM_VERSION; }

const char* seednorm_simd_target(void) {
  thread_local std::string target;
  try {
    target = simd_target();
  } catch (...) {
    return "";
  }
  return target.c_str();
}

}  // extern "C"

}  // namespace seednorm::c_api
