// The C surface of seednorm's core: the functions of norm.h for C and for other languages' foreign calls.
//
//   seednorm_options options = seednorm_default_options();
//   options.num_heads = 16;
//   seednorm_norm* norm = NULL;
//   if (seednorm_norm_create("seed_norm", 1536, &options, &norm) != SEEDNORM_OK) puts(seednorm_last_error());
//
// norm.h documents the mathematics, shapes and numerics; the comments here describe the differences. The
// letters are the same: R rows, D width, H heads.
//
// Every function that returns a seednorm_status returns SEEDNORM_OK, or an error that
// seednorm_last_error() describes; nothing is then written through its other arguments. Nothing is printed,
// and no C++ exception escapes. All functions may be called from several threads at once, except for
// destroying a norm that another thread uses.
#ifndef SEEDNORM_C_API_H_
#define SEEDNORM_C_API_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "seednorm/version.h"

#ifdef __cplusplus
extern "C" {
#endif

// --- Numbers --------------------------------------------------------------------------------------
// Their values never change. Fields that hold them are int32_t, whose size does not depend on the compiler.

typedef int32_t seednorm_status;
enum {
  SEEDNORM_OK = 0,
  SEEDNORM_INVALID_ARGUMENT = 1,  // the caller's mistake; the message has the form
                                  // "[layer] argument: expected ..., got ..."
  SEEDNORM_INTERNAL = 2,          // out of memory, or a bug
};

// Element types.
enum {
  SEEDNORM_FLOAT32 = 0,
  SEEDNORM_BFLOAT16 = 1,
  SEEDNORM_FLOAT16 = 2,
  SEEDNORM_FLOAT64 = 3,
};

// Activations of the dynamic coefficient.
enum {
  SEEDNORM_TANH = 0,
  SEEDNORM_SIGMOID = 1,
  SEEDNORM_HARDTANH = 2,
  SEEDNORM_SOFTSIGN = 3,
  SEEDNORM_GELU = 4,
  SEEDNORM_SILU = 5,
  SEEDNORM_IDENTITY = 6,
};

// Forms of a parameter (norm.h: Form).
enum {
  SEEDNORM_FORM_VECTOR = 0,
  SEEDNORM_FORM_SCALAR = 1,
  SEEDNORM_FORM_NONE = 2,
  SEEDNORM_FORM_PLUS_ONE = 3,
  SEEDNORM_FORM_ELEMENTWISE = 4,
};

// Parameters (norm.h: Param); also the index into the arrays `params` and `grads` below.
enum {
  SEEDNORM_GAMMA = 0,
  SEEDNORM_ALPHA = 1,
  SEEDNORM_BETA = 2,
  SEEDNORM_SHIFT = 3,
  SEEDNORM_GAMMA_C = 4,
  SEEDNORM_ETA_C = 5,
  SEEDNORM_NUM_PARAMS = 6,
  SEEDNORM_PARAM_SLOTS = 8,  // length of the arrays; slots from SEEDNORM_NUM_PARAMS on must be null
};

// Shapes of a parameter.
enum {
  SEEDNORM_KIND_ABSENT = 0,
  SEEDNORM_KIND_VECTOR = 1,      // [D]
  SEEDNORM_KIND_SCALAR = 2,      // [1]
  SEEDNORM_KIND_PER_SAMPLE = 3,  // [samples, D]
};

// --- Structs --------------------------------------------------------------------------------------
// Structs that begin with struct_size can grow: a later version may add fields at the end, and a program
// built against this header keeps working. Initialize them with the seednorm_default_* function below each.
// From another language, set all bytes to zero, then struct_size, and then, for options, the values of
// seednorm_default_options. SEEDNORM_INVALID_ARGUMENT: struct_size is below this version's or above 4096, or
// a part of the struct that this library does not know is not zero.

// Rows of equal width in the caller's memory (dtype.h). `stride` is the distance between the starts of
// neighbouring rows in elements; 0 means contiguous. data is NULL for a tensor that is not given.
typedef struct seednorm_view {
  void* data;
  int64_t stride;
  int32_t dtype;
  int32_t reserved;  // 0
} seednorm_view;

// The same for read-only memory.
typedef struct seednorm_const_view {
  const void* data;
  int64_t stride;
  int32_t dtype;
  int32_t reserved;  // 0
} seednorm_const_view;

static inline seednorm_view seednorm_make_view(void* data, int32_t dtype, int64_t stride) {
  seednorm_view view = {data, stride, dtype, 0};
  return view;
}

static inline seednorm_const_view seednorm_make_const_view(const void* data, int32_t dtype, int64_t stride) {
  seednorm_const_view view = {data, stride, dtype, 0};
  return view;
}

// norm.h: Options.
typedef struct seednorm_options {
  size_t struct_size;
  double eps;
  int64_t num_heads;
  double dot_scale;
  double dropout;
  int32_t sigma;
  int32_t gamma;  // this and the next two fields are forms
  int32_t alpha;
  int32_t beta;
} seednorm_options;

static inline seednorm_options seednorm_default_options(void) {
  seednorm_options options;
  memset(&options, 0, sizeof(options));
  options.struct_size = sizeof(options);
  options.eps = 1e-6;
  options.num_heads = 1;
  options.dot_scale = 1.0;
  return options;  // zeros mean no dropout, tanh, and vectors for gamma, alpha and beta
}

// norm.h: ForwardArgs.
typedef struct seednorm_forward_args {
  size_t struct_size;
  int64_t rows;           // R >= 0
  seednorm_const_view x;  // [R, D]
  seednorm_view y;        // [R, D], dtype of x; may be exactly x
  seednorm_const_view params[SEEDNORM_PARAM_SLOTS];
  void* stats;                   // [R, num_stats] float32 (float64 for float64 data), or NULL
  seednorm_const_view residual;  // [R, D], with `sum` only: sum = x + residual, y = norm(sum)
  seednorm_view sum;             // [R, D]
  int64_t rows_per_sample;       // ada_seed_norm only
  uint64_t seed;                 // of dropout
  uint64_t offset;
  int32_t training;  // if not 0, dropout acts
  int32_t reserved;  // 0
} seednorm_forward_args;

static inline seednorm_forward_args seednorm_default_forward_args(void) {
  seednorm_forward_args args;
  memset(&args, 0, sizeof(args));
  args.struct_size = sizeof(args);
  return args;
}

// norm.h: BackwardArgs.
typedef struct seednorm_backward_args {
  size_t struct_size;
  int64_t rows;              // R >= 0
  seednorm_const_view x;     // [R, D], what the norm saw: forward's x, or `sum` after a fused add
  seednorm_const_view dy;    // [R, D]
  seednorm_view dx;          // [R, D]; may be exactly x or exactly dy
  seednorm_const_view dsum;  // [R, D], optional: the gradient that reaches `sum` from elsewhere
  seednorm_const_view params[SEEDNORM_PARAM_SLOTS];
  seednorm_view grads[SEEDNORM_PARAM_SLOTS];  // overwritten; null gradients are not computed
  const void* stats;                          // as forward wrote it
  void* scratch;                              // seednorm_norm_scratch_bytes bytes, if there are grads
  int64_t rows_per_sample;                    // this and the next three fields as in forward
  uint64_t seed;
  uint64_t offset;
  int32_t training;
  int32_t reserved;  // 0
} seednorm_backward_args;

static inline seednorm_backward_args seednorm_default_backward_args(void) {
  seednorm_backward_args args;
  memset(&args, 0, sizeof(args));
  args.struct_size = sizeof(args);
  return args;
}

// parallel.h: Executor. `run` calls task(arg, i) once for every i in [0, num_tasks), in any order and on any
// threads, and returns when all are done. It must not throw.
typedef struct seednorm_executor {
  size_t struct_size;
  void (*run)(void* self, int64_t num_tasks, void (*task)(void* arg, int64_t i), void* arg);
  void* self;
  int32_t num_threads;  // a hint, >= 1
  int32_t reserved;     // 0
} seednorm_executor;

static inline seednorm_executor seednorm_make_executor(void (*run)(void* self, int64_t num_tasks,
                                                                   void (*task)(void* arg, int64_t i),
                                                                   void* arg),
                                                       void* self, int32_t num_threads) {
  seednorm_executor executor;
  executor.struct_size = sizeof(executor);
  executor.run = run;
  executor.self = self;
  executor.num_threads = num_threads;
  executor.reserved = 0;
  return executor;
}

// --- Norms ----------------------------------------------------------------------------------------

// A normalization layer of fixed kind, width and options. Immutable; holds no parameters.
typedef struct seednorm_norm seednorm_norm;

// Creates the norm `name` of width `dim`; NULL options mean the defaults. The caller must destroy it.
// Invalid: a name that is not in seednorm_norm_names(), dim not in 1 .. 2^40, an invalid option,
// NULL.
seednorm_status seednorm_norm_create(const char* name, int64_t dim, const seednorm_options* options,
                                     seednorm_norm** norm);

// Frees the norm. NULL is allowed.
void seednorm_norm_destroy(seednorm_norm* norm);

// Values per row that forward saves for backward. Invalid: NULL.
seednorm_status seednorm_norm_num_stats(const seednorm_norm* norm, int64_t* num_stats);

// Bytes of scratch that backward needs for parameter gradients over `rows` rows of data of type `dtype`.
// Invalid: rows < 0, an unknown dtype, NULL.
seednorm_status seednorm_norm_scratch_bytes(const seednorm_norm* norm, int64_t rows, int32_t dtype,
                                            size_t* bytes);

// Shape of parameter `param`: one of SEEDNORM_KIND_*. Invalid: an unknown param, NULL.
seednorm_status seednorm_norm_param_kind(const seednorm_norm* norm, int32_t param, int32_t* kind);

// The initial value of `param` in training. Invalid: an unknown param, NULL.
seednorm_status seednorm_norm_initial_value(const seednorm_norm* norm, int32_t param, double* value);

// y = norm(x), on `executor`, or on the included thread pool if that is NULL.
// Invalid: arguments that norm.h's forward refuses, an unknown dtype, NULL args.
seednorm_status seednorm_norm_forward(const seednorm_norm* norm, const seednorm_forward_args* args,
                                      const seednorm_executor* executor);

// Computes dx and the requested parameter gradients. Executor and errors are as in forward.
seednorm_status seednorm_norm_backward(const seednorm_norm* norm, const seednorm_backward_args* args,
                                       const seednorm_executor* executor);

// --- The library ----------------------------------------------------------------------------------

// Names of all norms, terminated by NULL. They live as long as the program. NULL if memory ran out.
const char* const* seednorm_norm_names(void);

// "gamma", "alpha", ...; NULL for an unknown param. Lives as long as the program.
const char* seednorm_param_name(int32_t param);

// Threads of the included pool, counting the caller's (parallel.h). Invalid: below 1.
seednorm_status seednorm_set_num_threads(int32_t num_threads);
int32_t seednorm_num_threads(void);

// Message of this thread's last error, or "" without an error. Lives until this thread's next call that
// fails.
const char* seednorm_last_error(void);

// SEEDNORM_VERSION of the linked library. Lives as long as the program.
const char* seednorm_version(void);

// The SIMD target in use, for bug reports: "AVX3", "NEON", ... Lives until this thread's next call of it.
const char* seednorm_simd_target(void);

#ifdef __cplusplus
}  // extern "C"
#endif

#endif  // SEEDNORM_C_API_H_
