// What the tests of the core's surface share: rows in memory, layers with parameters, one run of forward and
// backward whose results can be compared bit by bit. Everything goes by norm_names() and Norm::kind(), so
// that a new norm is covered without an edit.
#ifndef SEEDNORM_TESTS_CORE_COMMON_H_
#define SEEDNORM_TESTS_CORE_COMMON_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "seednorm/norm.h"
#include "seednorm/simd.h"
#include "tests/support/backend.h"

#if defined(__SANITIZE_THREAD__)
#define SEEDNORM_TEST_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SEEDNORM_TEST_TSAN
#endif
#endif

namespace seednorm::test {

constexpr DType kDTypes[] = {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64};

// Bits of `value` in binary16, to nearest even; for |value| below its largest.
inline uint16_t float16_bits(double value) {
  if (value == 0) return std::signbit(value) ? 0x8000 : 0;
  const int exponent = std::max(std::ilogb(value), -14);  // subnormals keep the smallest exponent
  const double steps = std::nearbyint(std::ldexp(std::fabs(value), 10 - exponent));
  // The hidden bit, 1024 steps, adds one to the exponent's field; so does a carry out of the mantissa.
  const int bits = ((exponent + 14) << 10) + static_cast<int>(steps);
  return static_cast<uint16_t>(bits | (value < 0 ? 0x8000 : 0));
}

inline uint16_t bfloat16_bits(double value) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(value));
  return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

inline void store(double value, DType dtype, void* to) {
  const auto put = [to](auto element) { std::memcpy(to, &element, sizeof(element)); };
  switch (dtype) {
    case DType::kFloat32:
      return put(static_cast<float>(value));
    case DType::kBFloat16:
      return put(bfloat16_bits(value));
    case DType::kFloat16:
      return put(float16_bits(value));
    case DType::kFloat64:
      return put(value);
  }
}

inline double load(DType dtype, const void* from) {
  const auto get = [from](auto element) {
    std::memcpy(&element, from, sizeof(element));
    return element;
  };
  switch (dtype) {
    case DType::kFloat32:
      return get(float{});
    case DType::kBFloat16:
      return std::bit_cast<float>(uint32_t{get(uint16_t{})} << 16);
    case DType::kFloat16: {
      const uint16_t bits = get(uint16_t{});
      const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
      const double magnitude = exponent == 31  ? (mantissa == 0 ? HUGE_VAL : std::nan(""))
                               : exponent == 0 ? std::ldexp(mantissa, -24)
                                               : std::ldexp(1024 + mantissa, exponent - 25);
      return (bits & 0x8000) != 0 ? -magnitude : magnitude;
    }
    case DType::kFloat64:
      return get(double{});
  }
  return std::nan("");
}

// Uniform in [-1, 1), a function of `seed` and `i` alone (the finalizer of SplitMix64).
inline double noise(uint64_t seed, uint64_t i) {
  uint64_t bits = (seed * 0x100000001B3 + i + 1) * 0x9E3779B97F4A7C15;
  bits = (bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9;
  bits = (bits ^ (bits >> 27)) * 0x94D049BB133111EB;
  bits ^= bits >> 31;
  return static_cast<double>(bits >> 11) * 0x1p-52 - 1;
}

// How rows lie in memory: elements between them, and before the first one.
struct Placement {
  int64_t gap = 0;
  int64_t shift = 0;
};

// Rows of a given type in memory of their own, which knows whether anything was written outside of them.
class Matrix {
 public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols, DType dtype, Placement placement = {})
      : rows_(rows), cols_(cols), placement_(placement), dtype_(dtype) {
    constexpr int64_t kGuard = 64;  // elements behind the last row
    const auto bytes = static_cast<size_t>(placement.shift + rows * stride() + kGuard) * size_of(dtype);
    memory_.resize(bytes / sizeof(Line) + 1);
    std::memset(memory_.data(), kFill, memory_.size() * sizeof(Line));
  }

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  DType dtype() const { return dtype_; }
  void* data() { return at(0, 0); }
  View view() { return {data(), dtype_, placement_.gap == 0 ? 0 : stride()}; }
  ConstView view() const { return {at(0, 0), dtype_, placement_.gap == 0 ? 0 : stride()}; }

  double get(int64_t row, int64_t col) const { return load(dtype_, at(row, col)); }
  void set(int64_t row, int64_t col, double value) { store(value, dtype_, at(row, col)); }
  void fill(uint64_t seed, double middle = 0, double radius = 2) {
    for (int64_t i = 0; i < rows_ * cols_; ++i) {
      set(i / cols_, i % cols_, middle + radius * noise(seed, static_cast<uint64_t>(i)));
    }
  }
  void fill_with(double value) {
    for (int64_t i = 0; i < rows_ * cols_; ++i) set(i / cols_, i % cols_, value);
  }

  // The given rows of this one, elsewhere.
  Matrix gather(const std::vector<int64_t>& indices, Placement placement = {}) const {
    Matrix to(static_cast<int64_t>(indices.size()), cols_, dtype_, placement);
    for (int64_t i = 0; i < to.rows_; ++i) std::memcpy(to.at(i, 0), at(indices[i], 0), row_bytes());
    return to;
  }

  bool same_row(int64_t i, const Matrix& other, int64_t j) const {
    return std::memcmp(at(i, 0), other.at(j, 0), row_bytes()) == 0;
  }
  bool untouched() const { return is_fill(bytes(), end()); }
  bool gaps_untouched() const {
    if (rows_ == 0) return untouched();
    bool same = is_fill(bytes(), at(0, 0)) && is_fill(at(rows_ - 1, cols_), end());
    for (int64_t i = 1; i < rows_; ++i) same = same && is_fill(at(i - 1, cols_), at(i, 0));
    return same;
  }

 private:
  static constexpr unsigned char kFill = 0xA5;
  struct alignas(64) Line {  // cache lines, so that `shift` decides the alignment of the first row
    unsigned char bytes[64];
  };

  static bool is_fill(const unsigned char* begin, const unsigned char* end) {
    return std::all_of(begin, end, [](unsigned char byte) { return byte == kFill; });
  }

  int64_t stride() const { return cols_ + placement_.gap; }
  size_t row_bytes() const { return static_cast<size_t>(cols_) * size_of(dtype_); }
  size_t offset(int64_t row, int64_t col) const {
    return static_cast<size_t>(placement_.shift + row * stride() + col) * size_of(dtype_);
  }
  const unsigned char* bytes() const { return reinterpret_cast<const unsigned char*>(memory_.data()); }
  const unsigned char* end() const { return bytes() + memory_.size() * sizeof(Line); }
  const unsigned char* at(int64_t row, int64_t col) const { return bytes() + offset(row, col); }
  unsigned char* at(int64_t row, int64_t col) {
    return const_cast<unsigned char*>(std::as_const(*this).at(row, col));
  }

  int64_t rows_ = 0;
  int64_t cols_ = 0;
  Placement placement_;
  DType dtype_ = DType::kFloat32;
  std::vector<Line> memory_;
};

// The type of sums, and of statistics, for data of this type.
constexpr DType sum_type(DType data) { return data == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32; }

// Types that parameters may have beside data of this type.
inline std::vector<DType> param_types(DType data) {
  if (data == DType::kFloat64) return {DType::kFloat64};
  return {DType::kFloat32, DType::kBFloat16, DType::kFloat16};
}

constexpr Param param_at(int i) { return static_cast<Param>(i); }

// A norm with parameters: gains around 1, the rest around 0, x.beta of order 1.
struct Layer {
  Layer(const std::string& name, int64_t dim, const Options& options = {}, DType dtype = DType::kFloat32,
        int64_t samples = 1)
      : norm(name, dim, options) {
    for (int i = 0; i < kNumParams; ++i) {
      const ParamKind kind = norm.kind(param_at(i));
      if (kind == ParamKind::kAbsent) continue;
      params[i] =
          Matrix(kind == ParamKind::kPerSample ? samples : 1, kind == ParamKind::kScalar ? 1 : dim, dtype);
      const bool gain = param_at(i) == Param::kGamma || param_at(i) == Param::kAlpha;
      const double radius = param_at(i) == Param::kBeta ? 2 / std::sqrt(static_cast<double>(dim)) : 0.75;
      params[i].fill(100 + static_cast<uint64_t>(i), gain ? 1 : 0, radius);
    }
  }

  bool has(Param param) const { return norm.kind(param) != ParamKind::kAbsent; }
  Matrix& param(Param p) { return params[static_cast<int>(p)]; }
  Params views() const {
    Params views;
    for (int i = 0; i < kNumParams; ++i) {
      if (has(param_at(i))) views[param_at(i)] = params[i].view();
    }
    return views;
  }
  bool is_per_sample() const {
    return std::any_of(params.begin(), params.end(), [this](const Matrix& p) {
      return norm.kind(param_at(static_cast<int>(&p - params.data()))) == ParamKind::kPerSample;
    });
  }

  Norm norm;
  std::array<Matrix, kNumParams> params;  // by Param; no rows if absent
};

// The inputs of forward and backward.
struct Batch {
  Batch() = default;
  Batch(int64_t rows, int64_t dim, DType dtype, bool fused = false) : fused(fused) {
    Matrix* const all[] = {&x, &dy, &residual, &dsum};
    for (uint64_t i = 0; i < 4; ++i) {
      *all[i] = Matrix(rows, dim, dtype);
      all[i]->fill(i);
    }
  }

  int64_t rows() const { return x.rows(); }

  Matrix x, dy, residual, dsum;  // the last two are used if fused
  bool fused = false;
  bool training = false;
  uint64_t seed = 0;
  uint64_t offset = 0;
  int64_t rows_per_sample = 1;
};

// What forward and backward wrote.
struct Results {
  Matrix y, sum, stats, dx;
  std::array<Matrix, kNumParams> grads;
  bool gaps_untouched = true;
};

inline ForwardArgs forward_args(const Layer& layer, const Batch& in, Results& out) {
  ForwardArgs args;
  args.rows = in.rows();
  args.x = in.x.view();
  args.y = out.y.view();
  args.params = layer.views();
  if (layer.norm.num_stats() > 0) args.stats = out.stats.data();
  if (in.fused) {
    args.residual = in.residual.view();
    args.sum = out.sum.view();
  }
  if (layer.is_per_sample()) args.rows_per_sample = in.rows_per_sample;
  args.training = in.training;
  args.seed = in.seed;
  args.offset = in.offset;
  return args;
}

// `scratch` gets the size that it needs.
inline BackwardArgs backward_args(const Layer& layer, const Batch& in, Results& out,
                                  std::vector<double>& scratch) {
  scratch.resize((kBackend.scratch_bytes(layer.norm, in.rows(), in.x.dtype()) + 7) / 8);
  BackwardArgs args;
  args.rows = in.rows();
  args.x = in.fused ? out.sum.view() : in.x.view();
  if (in.fused) args.dsum = in.dsum.view();
  args.dy = in.dy.view();
  args.dx = out.dx.view();
  args.params = layer.views();
  for (int i = 0; i < kNumParams; ++i) {
    if (layer.has(param_at(i))) args.grads[param_at(i)] = out.grads[i].view();
  }
  if (layer.norm.num_stats() > 0) args.stats = out.stats.data();
  args.scratch = scratch.data();
  if (layer.is_per_sample()) args.rows_per_sample = in.rows_per_sample;
  args.training = in.training;
  args.seed = in.seed;
  args.offset = in.offset;
  return args;
}

// Where the results will go. Gradients have their parameter's type.
inline Results make_results(const Layer& layer, const Batch& in, Placement placement = {}) {
  Results out;
  const int64_t dim = layer.norm.dim();
  const DType dtype = in.x.dtype();
  out.y = Matrix(in.rows(), dim, dtype, placement);
  out.dx = Matrix(in.rows(), dim, dtype, placement);
  if (in.fused) out.sum = Matrix(in.rows(), dim, dtype, placement);
  out.stats = Matrix(in.rows(), layer.norm.num_stats(), sum_type(dtype));
  for (int i = 0; i < kNumParams; ++i) {
    if (layer.has(param_at(i))) {
      out.grads[i] = Matrix(layer.params[i].rows(), layer.params[i].cols(), layer.params[i].dtype());
    }
  }
  return out;
}

inline Results run(const Layer& layer, const Batch& in, const Executor& executor = serial_executor(),
                   Placement placement = {}) {
  Results out = make_results(layer, in, placement);
  kBackend.forward(layer.norm, forward_args(layer, in, out), executor);
  std::vector<double> scratch;
  kBackend.backward(layer.norm, backward_args(layer, in, out, scratch), executor);
  for (const Matrix* m : {&out.y, &out.sum, &out.stats, &out.dx}) out.gaps_untouched &= m->gaps_untouched();
  for (const Matrix& m : out.grads) out.gaps_untouched &= m.gaps_untouched();
  return out;
}

// Empty if row `i` of `a` has the bits of row `j` of `b`.
inline std::string difference(const char* what, const Matrix& a, int64_t i, const Matrix& b, int64_t j) {
  if (a.same_row(i, b, j)) return "";
  for (int64_t col = 0; col < a.cols(); ++col) {
    const double left = a.get(i, col), right = b.get(j, col);
    if (std::bit_cast<uint64_t>(left) == std::bit_cast<uint64_t>(right)) continue;
    char text[200];
    std::snprintf(text, sizeof(text), "%s: row %lld, column %lld: %.17g and %.17g", what,
                  static_cast<long long>(i), static_cast<long long>(col), left, right);
    return text;
  }
  return std::string(what) + ": other bits of NaN";
}

inline std::string difference(const char* what, const Matrix& a, const Matrix& b) {
  if (a.rows() != b.rows() || a.cols() != b.cols() || a.dtype() != b.dtype())
    return what + std::string(": shapes");
  std::string text;
  for (int64_t i = 0; i < a.rows() && text.empty(); ++i) text = difference(what, a, i, b, i);
  return text;
}

// Row `i` of `a` against row `j` of `b`: what does not sum over rows.
inline std::string row_difference(const Results& a, int64_t i, const Results& b, int64_t j) {
  std::string text = difference("y", a.y, i, b.y, j);
  if (text.empty() && a.sum.rows() > 0) text = difference("sum", a.sum, i, b.sum, j);
  if (text.empty()) text = difference("stats", a.stats, i, b.stats, j);
  if (text.empty()) text = difference("dx", a.dx, i, b.dx, j);
  return text;
}

// Empty if every result has the same bits and nothing was written beside the rows.
inline std::string difference(const Results& a, const Results& b) {
  std::string text = a.gaps_untouched && b.gaps_untouched ? "" : "written between rows";
  for (int64_t i = 0; i < a.y.rows() && text.empty(); ++i) text = row_difference(a, i, b, i);
  for (int i = 0; i < kNumParams && text.empty(); ++i) {
    text = difference(name_of(param_at(i)), a.grads[i], b.grads[i]);
  }
  return text;
}

// Options that `name` accepts at this width, the default first: each value of each option, and some together.
inline std::vector<Options> option_variants(const std::string& name, int64_t dim) {
  std::vector<Options> candidates = {
      {}, {.dot_scale = 0.25}, {.gamma = Form::kNone}, {.gamma = Form::kPlusOne}};
  for (const Form form : {Form::kScalar, Form::kNone}) candidates.push_back({.alpha = form});
  for (const Form form : {Form::kScalar, Form::kElementwise, Form::kNone})
    candidates.push_back({.beta = form});
  for (const int64_t heads : {2, 3, 5, 16}) candidates.push_back({.num_heads = heads});
  for (int s = 1; s <= static_cast<int>(Sigma::kIdentity); ++s) {
    candidates.push_back({.sigma = static_cast<Sigma>(s)});
    candidates.push_back({.num_heads = 3, .sigma = static_cast<Sigma>(s), .gamma = Form::kPlusOne});
  }
  candidates.push_back({.num_heads = 3, .gamma = Form::kNone, .alpha = Form::kScalar});
  candidates.push_back({.alpha = Form::kNone, .beta = Form::kElementwise});
  candidates.push_back({.gamma = Form::kPlusOne, .alpha = Form::kScalar, .beta = Form::kNone});
  std::vector<Options> accepted;
  for (const Options& options : candidates) {
    try {
      const Norm norm(name, dim, options);
      accepted.push_back(options);
    } catch (const std::invalid_argument&) {  // not one of this norm's
    }
  }
  return accepted;
}

inline bool takes_dropout(const std::string& name) {
  try {
    const Norm norm(name, 1, {.dropout = 0.5});
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

inline bool takes_residual(const std::string& name) {
  try {
    run(Layer(name, 1), Batch(1, 1, DType::kFloat32, /*fused=*/true));
    return true;
  } catch (const std::invalid_argument&) {
    return false;
  }
}

inline std::string describe(const Norm& norm) {
  const Options& o = norm.options();
  return simd_target() + " " + norm.name() + " dim " + std::to_string(norm.dim()) + " heads " +
         std::to_string(o.num_heads) + " sigma " + name_of(o.sigma) + " gamma " + name_of(o.gamma) +
         " alpha " + name_of(o.alpha) + " beta " + name_of(o.beta);
}

// Rows that make a call large enough for threads, in chunks of more than one length.
inline int64_t rows_for_threads(int64_t dim) { return 130 + 36000 / dim; }

// Calls f() under every target; with the thread sanitizer under the best one, threads are the same for
// all.
template <class F>
void for_each_target(F f) {
  for (const std::string& target : kBackend.targets()) {
    kBackend.set_target(target);
    f();
#ifdef SEEDNORM_TEST_TSAN
    break;
#endif
  }
  kBackend.set_target("");
}

}  // namespace seednorm::test

#endif  // SEEDNORM_TESTS_CORE_COMMON_H_
