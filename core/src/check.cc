#include "core/src/check.h"

#include <cmath>
#include <stdexcept>

#include "seednorm/norm.h"

namespace seednorm {
namespace {

std::string text(double value) {
  char buffer[32];
  std::snprintf(buffer, sizeof(buffer), "%g", value);
  return buffer;
}
std::string text(int64_t value) { return std::to_string(value); }

// Bytes that rows of a view cover, for overlap checks.
struct Extent {
  const char* begin;
  int64_t stride_bytes;
  int64_t row_bytes;
  int64_t rows;
  const char* end() const { return rows == 0 ? begin : begin + (rows - 1) * stride_bytes + row_bytes; }
};

bool overlap(const Extent& a, const Extent& b) {
  if (a.rows == 0 || b.rows == 0 || a.end() <= b.begin || b.end() <= a.begin) return false;
  if (a.stride_bytes != b.stride_bytes) return true;
  // Slices of one wider tensor do not overlap if their columns, modulo the common stride, do not.
  const int64_t stride = a.stride_bytes;
  const int64_t shift = ((b.begin - a.begin) % stride + stride) % stride;
  return shift < a.row_bytes || shift + b.row_bytes > stride;
}

// Whether the enumerator exists: callers of the C interface may pass any number.
template <class Enum>
bool is_known(Enum value, int count) {
  return static_cast<uint32_t>(value) < static_cast<uint32_t>(count);
}

void check_form(const NormInfo& info, Param param, Form form) {
  const NormParamInfo* const own = info.find(param);
  const FormSet allowed = own != nullptr ? own->forms : FormSet{Form::kVector};
  if (allowed.contains(form)) return;
  std::string expected = "form";
  for (int f = 0; f < kNumForms; ++f) {
    if (!allowed.contains(static_cast<Form>(f))) continue;
    expected += (expected == "form" ? " " : " or ") + std::string(name_of(static_cast<Form>(f)));
  }
  fail(info.name, name_of(param), expected, name_of(form));
}

class CallCheck {
 public:
  CallCheck(const Norm& norm, int64_t rows, const ConstView& x) : norm_(norm), rows_(rows), x_(x) {
    if (rows < 0) reject("rows", "0 or more", text(rows));
    data("x", x, true);
  }

  [[noreturn]] void reject(std::string_view argument, const std::string& expected,
                           const std::string& got) const {
    fail(norm_.name(), argument, expected, got);
  }

  // A view of the data's shape and dtype.
  void data(std::string_view argument, const ConstView& v, bool needed) const {
    if (!v) {
      if (needed && rows_ > 0) reject(argument, "rows of " + text(norm_.dim()) + " elements", "null");
      return;
    }
    dtype(argument, v.dtype);
    if (v.dtype != x_.dtype)
      reject(argument, std::string("dtype of x, ") + name_of(x_.dtype), name_of(v.dtype));
    stride(argument, v, rows_);
  }

  void dtype(std::string_view argument, DType value) const {
    if (!is_known(value, kNumDTypes)) reject(argument, "a dtype", text(static_cast<int64_t>(value)));
  }

  // The distance between `rows` rows of a view.
  void stride(std::string_view argument, const ConstView& v, int64_t rows) const {
    if (v.stride != 0 && v.stride < norm_.dim()) {
      reject(argument, "stride 0 (contiguous) or at least the width " + text(norm_.dim()),
             "stride " + text(v.stride));
    }
    const int64_t distance = v.stride == 0 ? norm_.dim() : v.stride;
    const int64_t size = static_cast<int64_t>(size_of(v.dtype));
    int64_t elements = 0;  // from the start of the first row to that of the last
    if (rows > 1 && (__builtin_mul_overflow(rows - 1, distance, &elements) || elements > kMaxBytes / size)) {
      reject(argument, "rows within 2^56 bytes", text(rows) + " rows with stride " + text(distance));
    }
  }

  Extent extent(const ConstView& v) const {
    const int64_t size = static_cast<int64_t>(size_of(v.dtype));
    // Of a single row the stride may be any number, and its bytes more than an integer holds.
    const int64_t stride = v.stride == 0 || rows_ <= 1 ? norm_.dim() : v.stride;
    return {static_cast<const char*>(v.data), stride * size, norm_.dim() * size, v ? rows_ : 0};
  }

  // `out` may be the very rows of `in`, if allowed, but must not overlap them otherwise.
  void apart(std::string_view argument, const ConstView& out, std::string_view other, const ConstView& in,
             bool may_be_same) const {
    if (!out || !in) return;
    const Extent a = extent(out), b = extent(in);
    const bool same = a.begin == b.begin && a.stride_bytes == b.stride_bytes;
    if (same && may_be_same) return;
    if (overlap(a, b)) {
      reject(argument,
             may_be_same ? "exactly the memory of " + std::string(other) + " or none of it"
                         : "memory apart from " + std::string(other),
             "overlapping memory");
    }
  }

  void params(const Params& params, int64_t rows_per_sample) const {
    bool per_sample = false;
    for (int p = 0; p < kNumParams; ++p) {
      const Param param = static_cast<Param>(p);
      const ConstView& v = params[param];
      const ParamKind kind = norm_.kind(param);
      if (kind == ParamKind::kAbsent) {
        if (v)
          reject(name_of(param), "null (the layer has no such parameter with these options)", "a parameter");
        continue;
      }
      if (!v) {
        if (rows_ == 0 && kind == ParamKind::kPerSample) continue;
        reject(name_of(param), kind == ParamKind::kScalar ? "1 element" : text(norm_.dim()) + " elements",
               "null");
      }
      dtype(name_of(param), v.dtype);
      if ((v.dtype == DType::kFloat64) != (x_.dtype == DType::kFloat64)) {
        reject(name_of(param),
               x_.dtype == DType::kFloat64
                   ? "float64 beside float64 data"
                   : std::string("float32, bfloat16 or float16 beside ") + name_of(x_.dtype) + " data",
               name_of(v.dtype));
      }
      if (kind != ParamKind::kPerSample) continue;
      per_sample = true;
      stride(name_of(param), v, samples(rows_per_sample));
    }
    if (per_sample && rows_per_sample < 1) reject("rows_per_sample", "1 or more", text(rows_per_sample));
  }

  int64_t samples(int64_t rows_per_sample) const {
    return rows_per_sample < 1 ? 0 : divide_up(rows_, rows_per_sample);
  }

 private:
  const Norm& norm_;
  const int64_t rows_;
  const ConstView& x_;
};

}  // namespace

void fail(std::string_view layer, std::string_view argument, const std::string& expected,
          const std::string& got) {
  throw std::invalid_argument("[" + std::string(layer) + "] " + std::string(argument) + ": expected " +
                              expected + ", got " + got);
}

void check_options(const NormInfo& info, int64_t dim, const Options& o) {
  const auto reject = [&](const char* argument, const std::string& expected, const std::string& got) {
    fail(info.name, argument, expected, got);
  };
  const Options defaults;
  const std::string not_mine = "its default, since this layer has no such option";
  if (dim < 1 || dim > kMaxDim) reject("dim", "1 to 2^40", text(dim));
  if (!(o.eps > 0) || !std::isfinite(o.eps)) reject("eps", "a finite number above 0", text(o.eps));
  if (!info.has_eps && o.eps != defaults.eps) reject("eps", not_mine, text(o.eps));
  if (o.num_heads < 1 || dim % o.num_heads != 0) {
    reject("num_heads", "a divisor of the width " + text(dim), text(o.num_heads));
  }
  if (!info.has_heads && o.num_heads != 1) reject("num_heads", not_mine, text(o.num_heads));
  if (!is_known(o.sigma, kNumSigmas)) {
    reject("sigma", "one of the activations", text(static_cast<int64_t>(o.sigma)));
  }
  if (!info.has_sigma && o.sigma != defaults.sigma) reject("sigma", not_mine, name_of(o.sigma));
  if (!std::isfinite(o.dot_scale)) reject("dot_scale", "a finite number", text(o.dot_scale));
  if (!info.has_sigma && o.dot_scale != defaults.dot_scale) reject("dot_scale", not_mine, text(o.dot_scale));
  if (!(o.dropout >= 0 && o.dropout < 1)) reject("dropout", "a probability in [0, 1)", text(o.dropout));
  if (!info.has_dropout && o.dropout != 0) reject("dropout", not_mine, text(o.dropout));
  for (const Param param : {Param::kGamma, Param::kAlpha, Param::kBeta}) {
    check_form(info, param, form_of(o, param));
  }
  if (o.beta != Form::kVector && info.has_heads && o.num_heads != 1) {
    reject("num_heads", std::string("1 with beta ") + name_of(o.beta), text(o.num_heads));
  }
}

void check_forward(const Norm& norm, const ForwardArgs& args) {
  const CallCheck check(norm, args.rows, args.x);
  check.data("y", args.y, true);
  check.data("residual", args.residual, false);
  check.data("sum", args.sum, false);
  if (!norm.has_residual_add() && (args.residual || args.sum)) {
    check.reject(args.residual ? "residual" : "sum", "null (the layer has no fused residual add)", "rows");
  }
  if (static_cast<bool>(args.residual) != static_cast<bool>(args.sum) && args.rows > 0) {
    check.reject(args.residual ? "sum" : "residual", "rows, since residual and sum go together", "null");
  }
  check.params(args.params, args.rows_per_sample);
  check.apart("y", args.y, "x", args.x, true);
  check.apart("y", args.y, "residual", args.residual, false);
  check.apart("y", args.y, "sum", args.sum, false);
  check.apart("sum", args.sum, "x", args.x, true);
  check.apart("sum", args.sum, "residual", args.residual, true);
}

void check_backward(const Norm& norm, const BackwardArgs& args, size_t scratch_bytes) {
  const CallCheck check(norm, args.rows, args.x);
  check.data("dy", args.dy, true);
  check.data("dx", args.dx, true);
  check.data("dsum", args.dsum, false);
  if (!norm.has_residual_add() && args.dsum)
    check.reject("dsum", "null (the layer has no fused residual add)", "rows");
  check.params(args.params, args.rows_per_sample);
  if (args.stats == nullptr && norm.num_stats() > 0 && args.rows > 0) {
    check.reject("stats", text(norm.num_stats()) + " values per row, as forward wrote them", "null");
  }
  bool wanted = false;
  for (int p = 0; p < kNumParams; ++p) {
    const Param param = static_cast<Param>(p);
    const View& grad = args.grads[param];
    if (!grad) continue;
    if (norm.kind(param) == ParamKind::kAbsent) {
      check.reject(std::string("grads.") + name_of(param),
                   "null (the layer has no such parameter with these options)", "a gradient");
    }
    check.dtype(std::string("grads.") + name_of(param), grad.dtype);
    if (norm.kind(param) == ParamKind::kPerSample) {
      check.stride(std::string("grads.") + name_of(param), grad, check.samples(args.rows_per_sample));
    }
    wanted = true;
  }
  if (wanted && args.scratch == nullptr && scratch_bytes > 0) {
    check.reject("scratch", text(static_cast<int64_t>(scratch_bytes)) + " bytes", "null");
  }
  check.apart("dx", args.dx, "x", args.x, true);
  check.apart("dx", args.dx, "dy", args.dy, true);
  check.apart("dx", args.dx, "dsum", args.dsum, true);
}

}  // namespace seednorm
