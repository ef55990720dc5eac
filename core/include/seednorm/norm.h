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
#include <utility>
#include <vector>

#include "seednorm/dtype.h"
#include "seednorm/parallel.h"

namespace seednorm {

// Activation of the dynamic coefficient (paper, Figure 4). gelu is the exact (erf) form.
enum class Sigma : int32_t { kTanh = 0, kSigmoid, kHardtanh, kSoftsign, kGelu, kSilu, kIdentity };

// Form of a parameter of the layer. Which are allowed, and what kNone stands for, is up to the norm.
enum class Form : int32_t {
  kVector = 0,   // [D]
  kScalar,       // [1]
  kNone,         // absent
  kPlusOne,      // gamma only: [D], the layer uses 1 + gamma
  kElementwise,  // beta only: [D], u_i = sigma(x_i beta_i) (Table 3, "x (.) beta")
};

// What a norm may be told beyond its width. An option a norm does not have must keep its default.
// Forms: seed_norm gamma vector | none (0) | plus_one, alpha vector | scalar | none (1), beta vector |
// elementwise | none; ada_seed_norm alpha vector | scalar | none (1); rms_norm gamma vector | none (1) |
// plus_one; layer_norm gamma vector | none (1), beta vector | none (0).
struct Options {
  double eps = 1e-6;      // > 0; inside the root (ScaleNorm: the smallest |x| divided by)
  int64_t num_heads = 1;  // H, divides D (Eq. 7)
  Sigma sigma = Sigma::kTanh;
  double dot_scale = 1.0;  // factor on x.beta; Appendix D.2 divides by the dimension
  double dropout = 0.0;    // in [0, 1), on the dynamic coefficient u alpha, elementwise, in training
  Form gamma = Form::kVector;
  Form alpha = Form::kVector;
  Form beta = Form::kVector;
};

// The parameters a norm can have. Eq. numbers: the paper's.
enum class Param : int32_t {
  kGamma = 0,  // gain
  kAlpha,      // SeeDNorm: dynamic gain (Eq. 4); DyT, Derf: slope, [1]
  kBeta,       // SeeDNorm: direction of the dot product; LayerNorm, DyT, Derf: offset
  kShift,      // Derf: s, [1]
  kGammaC,     // AdaSeeDNorm: gamma(c), one row a sample (Eq. 8)
  kEtaC,       // AdaSeeDNorm: eta(c), one row a sample (Eq. 8)
};
constexpr int kNumParams = 6;
const char* name_of(Param param);  // "gamma", "alpha", "beta", "shift", "gamma_c", "eta_c"
const char* name_of(Sigma sigma);
const char* name_of(Form form);

// Shape of a parameter.
enum class ParamKind : int32_t {
  kAbsent = 0,
  kVector,     // [D]
  kScalar,     // [1]
  kPerSample,  // [samples, D], rows may be strided
};

template <class V>
struct ParamSet {
  V gamma{}, alpha{}, beta{}, shift{}, gamma_c{}, eta_c{};
  V& operator[](Param p) { return const_cast<V&>(std::as_const(*this)[p]); }
  const V& operator[](Param p) const {
    const V* const all[kNumParams] = {&gamma, &alpha, &beta, &shift, &gamma_c, &eta_c};
    return *all[static_cast<int>(p)];
  }
};
using Params = ParamSet<ConstView>;  // each in a dtype of its own; float64 exactly if the data is float64
using ParamGrads = ParamSet<View>;   // each in any dtype; a null one is not computed

struct ForwardArgs {
  int64_t rows = 0;  // R >= 0
  ConstView x{};     // [R, D]
  View y{};          // [R, D], dtype of x; may be exactly x (in place), must not overlap it otherwise
  Params params{};
  // [R, num_stats()] float32 (float64 for float64 data), what backward needs; null: not kept.
  void* stats = nullptr;
  // Fused residual add (of a norm that has_residual_add()):
  //   sum = x + residual, rounded to the data's dtype;   y = norm(sum)
  // Both or neither must be given; `sum` may be exactly x or exactly residual.
  ConstView residual{};         // [R, D], dtype of x
  View sum{};                   // [R, D], dtype of x
  int64_t rows_per_sample = 0;  // ada_seed_norm: row r belongs to sample r / rows_per_sample
  // Dropout, if options().dropout > 0 and training. The mask of element (r, i) is a function of
  // seed, offset, r and i alone (Philox 4x32-10, see philox.h), so that backward makes it again.
  bool training = false;
  uint64_t seed = 0;
  uint64_t offset = 0;
};

struct BackwardArgs {
  int64_t rows = 0;
  ConstView x{};   // [R, D], what the norm saw: forward's x, or `sum` after a fused add
  ConstView dy{};  // [R, D], dtype of x
  // [R, D], dtype of x; may be exactly x, dy or dsum. After a fused add: the gradient of x and of residual.
  View dx{};
  // [R, D], optional after a fused add: the gradient that reaches `sum` from elsewhere, which is added to dx.
  ConstView dsum{};
  Params params{};
  ParamGrads grads{};           // overwritten, not accumulated into
  const void* stats = nullptr;  // as forward wrote it
  // scratch_bytes(rows) bytes, if any parameter gradient is wanted; alignment of double.
  void* scratch = nullptr;
  int64_t rows_per_sample = 0;
  bool training = false;  // these three as in forward
  uint64_t seed = 0;
  uint64_t offset = 0;
};

struct NormInfo;     // a norm's own description, see core/norms
struct NormKernels;  // its compiled kernels

// A normalization layer of fixed kind, width and options. Immutable, cheap to copy, safe to use from
// several threads at once. Owns no parameters and no memory.
class Norm {
 public:
  // Errors (std::invalid_argument, here and below, "[layer] argument: expected ..., got ..."): a name
  // that is not in norm_names(), dim < 1, an option out of range or not one of this norm's.
  Norm(std::string_view name, int64_t dim, const Options& options = {});

  const std::string& name() const { return name_; }
  int64_t dim() const { return dim_; }
  const Options& options() const { return options_; }

  ParamKind kind(Param param) const { return kinds_[static_cast<int>(param)]; }
  // Value to start training from: gamma 1 (0 for plus_one), beta 0, alpha 1 (DyT, Derf: 0.5), s 0,
  // ScaleNorm's gain sqrt(D).
  double initial_value(Param param) const;
  // Whether forward takes a residual.
  bool has_residual_add() const;
  // Values a row that forward saves for backward: SeeDNorm 1 + H (rstd, z_1 .. z_H), RMSNorm 1 (rstd),
  // LayerNorm 2 (mean, rstd), ScaleNorm 1 (1 / max(|x|, eps)), DyT and Derf 0.
  int64_t num_stats() const { return num_stats_; }
  // Bytes of scratch that backward needs for parameter gradients over `rows` rows: one row of float32
  // (float64 for float64 data) per trained parameter, three for SeeDNorm, for each of at most
  // kMaxChunks chunks of rows. 0 if the norm has no parameters.
  size_t scratch_bytes(int64_t rows, DType data_dtype = DType::kFloat32) const;

  // y = norm(x) for R rows. Bytes moved: reads x, writes y once each (+ residual, sum).
  // Numerics: sums in float32 (float64 for float64 data), one rounding at the store. NaN or Inf in a row
  // makes that row what the plain formula makes it and touches no other row. Subnormals are kept. Values
  // beyond float16's range are stored as Inf. R = 0 does nothing.
  // Nothing is written when it throws.
  void forward(const ForwardArgs& args, const Executor& executor = default_executor()) const;

  // dx and the wanted parameter gradients. Bytes moved: reads x and dy, writes dx once each (+ dsum).
  // Parameter gradients are sums over rows in a fixed order: float32 within a chunk of rows, float64
  // over chunks; they do not depend on the number of threads. R = 0 sets them to zero.
  void backward(const BackwardArgs& args, const Executor& executor = default_executor()) const;

 private:
  std::string name_;
  int64_t dim_;
  Options options_;
  int64_t num_stats_ = 0;
  std::array<ParamKind, kNumParams> kinds_{};
  const NormInfo* info_ = nullptr;
  const NormKernels* kernels_ = nullptr;
};

// Most chunks of rows that backward sums apart; part of the results' definition, not of the machine's.
constexpr int64_t kMaxChunks = 64;

// Every norm there is: "seed_norm", "ada_seed_norm", "rms_norm", "layer_norm", "dyt", "derf", "scale_norm".
std::vector<std::string> norm_names();

}  // namespace seednorm

#endif  // SEEDNORM_NORM_H_
