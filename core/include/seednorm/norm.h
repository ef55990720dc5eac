// Normalization layers: construct a Norm once, call forward and backward on rows.
//
//   seednorm::Norm norm("seed_norm", 1536, {.num_heads = 16});
//   norm.forward({.rows = n, .x = view(x), .y = view(y),
//                 .params = {.gamma = view(g), .alpha = view(a), .beta = view(b)}});
//
// Letters: R rows, D width (`dim`), H heads, d = D / H. The source is arXiv 2510.22777v2 ("the paper").
#ifndef SEEDNORM_NORM_H_
#define SEEDNORM_NORM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "seednorm/dtype.h"
#include "seednorm/norm_info.h"
#include "seednorm/options.h"
#include "seednorm/parallel.h"

namespace seednorm {

using Params = ParamSet<ConstView>;  // each in its own dtype; float64 if and only if the data is
using ParamGrads = ParamSet<View>;   // each in any dtype; null gradients are not computed

struct ForwardArgs {
  int64_t rows = 0;  // R >= 0
  ConstView x{};     // [R, D]
  View y{};          // [R, D], dtype of x; may be exactly x (in place), must not overlap it otherwise
  Params params{};
  // [R, num_stats()] float32 (float64 for float64 data), which backward needs. They are not kept if null.
  void* stats = nullptr;
  // Fused residual add, for norms with has_residual_add():
  //   sum = x + residual, rounded to the data's dtype;   y = norm(sum)
  // Either both or neither must be given; `sum` may be exactly x or exactly residual.
  ConstView residual{};         // [R, D], dtype of x
  View sum{};                   // [R, D], dtype of x
  int64_t rows_per_sample = 0;  // ada_seed_norm: row r belongs to sample r / rows_per_sample
  // Dropout acts if options().dropout > 0 and `training`. The mask of element (r, i) is a function of
  // seed, offset, r and i alone (Philox 4x32-10, see philox.h), so that backward can recompute it.
  bool training = false;
  uint64_t seed = 0;
  uint64_t offset = 0;
};

struct BackwardArgs {
  int64_t rows = 0;
  ConstView x{};   // [R, D], the norm's input: forward's x, or `sum` after a fused add
  ConstView dy{};  // [R, D], dtype of x
  // [R, D], dtype of x; may be exactly x, dy or dsum. After a fused add it is the gradient of both x and
  // residual.
  View dx{};
  // [R, D], optional after a fused add: the gradient that reaches `sum` from elsewhere, which is added to dx.
  ConstView dsum{};
  Params params{};
  ParamGrads grads{};           // overwritten, not accumulated into
  const void* stats = nullptr;  // as forward wrote it
  // scratch_bytes(rows) bytes with the alignment of double, if any parameter gradient is requested.
  void* scratch = nullptr;
  int64_t rows_per_sample = 0;
  bool training = false;  // this and the next two as in forward
  uint64_t seed = 0;
  uint64_t offset = 0;
};

// A normalization layer of a fixed kind, width and set of options. It is immutable, cheap to copy, and safe
// to use from several threads at once. It does not own parameters or memory.
class Norm {
 public:
  // Errors (std::invalid_argument, here and below, "[layer] argument: expected ..., got ..."): a name
  // that is not in norm_names(), dim not in 1 .. 2^40, an option that is out of range or that this norm does
  // not have.
  Norm(std::string_view name, int64_t dim, const Options& options = {});
  // The same for a description, norm_info(name), without looking up the name.
  Norm(const NormInfo& info, int64_t dim, const Options& options = {});

  const std::string& name() const { return name_; }
  const NormInfo& info() const { return *info_; }
  int64_t dim() const { return dim_; }
  const Options& options() const { return options_; }

  ParamKind kind(Param param) const { return kinds_[static_cast<int>(param)]; }
  // The value from which training starts: gamma 1 (0 for plus_one), beta 0, alpha 1 (DyT, Derf: 0.5), s 0,
  // ScaleNorm's gain sqrt(D).
  double initial_value(Param param) const;
  // The role, and the name in state dictionaries, of a parameter that the layer has.
  ParamRole role(Param param) const;
  const char* state_name(Param param) const;
  // Whether forward accepts a residual.
  bool has_residual_add() const { return info_->has_residual_add; }
  // Values per row that forward saves for backward: SeeDNorm 1 + H (rstd, z_1 .. z_H), RMSNorm 1 (rstd),
  // LayerNorm 2 (mean, rstd), ScaleNorm 1 (1 / max(|x|, eps)), DyT and Derf 0.
  int64_t num_stats() const { return num_stats_; }
  // Bytes of scratch that backward needs for parameter gradients over `rows` rows: one row of float32
  // (float64 for float64 data) per trained parameter, three for SeeDNorm, for each of at most
  // kMaxChunks chunks of rows. 0 if the norm has no parameters.
  size_t scratch_bytes(int64_t rows, DType data_dtype = DType::kFloat32) const;

  // Computes y = norm(x) for R rows. Bytes moved: reads x and writes y once each (+ residual, sum).
  // Numerics: sums in float32 (float64 for float64 data), one rounding at the store. NaN or Inf in a row
  // gives the result of the plain formula in that row, and does not affect other rows. Subnormals are kept.
  // Values beyond float16's range are stored as Inf. R = 0 does nothing. If it throws, nothing was written.
  void forward(const ForwardArgs& args, const Executor& executor = default_executor()) const;

  // Computes dx and the requested parameter gradients. Bytes moved: reads x and dy and writes dx once each
  // (+ dsum).
  // Parameter gradients are sums over rows in a fixed order: float32 within a chunk of rows, float64
  // over chunks; they do not depend on the number of threads. R = 0 sets them to zero.
  void backward(const BackwardArgs& args, const Executor& executor = default_executor()) const;

 private:
  const NormParamInfo& param_info(Param param) const;

  std::string name_;
  int64_t dim_;
  Options options_;
  int64_t num_stats_ = 0;
  std::array<ParamKind, kNumParams> kinds_{};
  const NormInfo* info_ = nullptr;
};

// The maximum number of chunks of rows that backward sums separately. It is part of the definition of the
// results on all machines.
constexpr int64_t kMaxChunks = 64;

// Names of all norms: "seed_norm", "ada_seed_norm", "rms_norm", "layer_norm", "dyt", "derf", "scale_norm".
std::vector<std::string> norm_names();

}  // namespace seednorm

#endif  // SEEDNORM_NORM_H_
