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
  // Slices of one wider tensor: apart if their columns are, counted modulo the common stride.
  const int64_t stride = a.stride_bytes;
  const int64_t shift = ((b.begin - a.begin) % stride + stride) % stride;
  return shift < a.row_bytes || shift + b.row_bytes > stride;
}

void check_form(const NormInfo& info, const char* argument, Form form, uint32_t allowed) {
  const uint32_t bit = static_cast<uint32_t>(form) < 32 ? 1u << static_cast<uint32_t>(form) : 0;
  if ((allowed & bit) != 0) return;
  std::string expected = "form";
  for (uint32_t f = 0; f < 32; ++f) {
    if ((allowed >> f & 1) == 0) continue;
    expected += (expected == "form" ? " " : " or ") + std::string(name_of(static_cast<Form>(f)));
  }
  fail(info.name, argument, expected, name_of(form));
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
    if (static_cast<uint32_t>(v.dtype) > 3) reject(argument, "a dtype", text(static_cast<int64_t>(v.dtype)));
    if (v.dtype != x_.dtype)
      reject(argument, std::string("dtype of x, ") + name_of(x_.dtype), name_of(v.dtype));
    if (v.stride != 0 && v.stride < norm_.dim()) {
      reject(argument, "stride 0 (contiguous) or at least the width " + text(norm_.dim()),
             "stride " + text(v.stride));
    }
  }

  Extent extent(const ConstView& v) const {
    const int64_t size = static_cast<int64_t>(size_of(v.dtype));
    const int64_t stride = v.stride == 0 ? norm_.dim() : v.stride;
    return {static_cast<const char*>(v.data), stride * size, norm_.dim() * size, v ? rows_ : 0};
  }

  // `out` may be the very rows of `in`, if allowed, but must not overlap them otherwise.
  void apart(std::string_view argument, const ConstView& out, std::string_view other, const ConstView& in,
             bool may_be_same) const {
    if (!out || !in) return;
    const Extent a = extent(out), b = extent(in);
    const bool same = a.begin == b.begin && (a.stride_bytes == b.stride_bytes || rows_ <= 1);
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
      if (static_cast<uint32_t>(v.dtype) > 3)
        reject(name_of(param), "a dtype", text(static_cast<int64_t>(v.dtype)));
      if ((v.dtype == DType::kFloat64) != (x_.dtype == DType::kFloat64)) {
        reject(name_of(param),
               x_.dtype == DType::kFloat64
                   ? "float64 beside float64 data"
                   : std::string("float32, bfloat16 or float16 beside ") + name_of(x_.dtype) + " data",
               name_of(v.dtype));
      }
      if (kind == ParamKind::kPerSample) {
        per_sample = true;
        sample_stride(name_of(param), v);
      }
    }
    if (per_sample && rows_per_sample < 1) reject("rows_per_sample", "1 or more", text(rows_per_sample));
  }

  void sample_stride(std::string_view argument, const ConstView& v) const {
    if (v.stride != 0 && v.stride < norm_.dim()) {
      reject(argument, "stride 0 (contiguous) or at least the width " + text(norm_.dim()),
             "stride " + text(v.stride));
    }
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
  if (dim < 1) reject("dim", "1 or more", text(dim));
  if (!(o.eps > 0) || !std::isfinite(o.eps)) reject("eps", "a finite number above 0", text(o.eps));
  if (!info.uses_eps && o.eps != defaults.eps) reject("eps", not_mine, text(o.eps));
  if (o.num_heads < 1 || dim % o.num_heads != 0) {
    reject("num_heads", "a divisor of the width " + text(dim), text(o.num_heads));
  }
  if (!info.uses_heads && o.num_heads != 1) reject("num_heads", not_mine, text(o.num_heads));
  if (static_cast<uint32_t>(o.sigma) > static_cast<uint32_t>(Sigma::kIdentity)) {
    reject("sigma", "one of the activations", text(static_cast<int64_t>(o.sigma)));
  }
  if (!info.uses_sigma && o.sigma != defaults.sigma) reject("sigma", not_mine, name_of(o.sigma));
  if (!std::isfinite(o.dot_scale)) reject("dot_scale", "a finite number", text(o.dot_scale));
  if (!info.uses_sigma && o.dot_scale != defaults.dot_scale) reject("dot_scale", not_mine, text(o.dot_scale));
  if (!(o.dropout >= 0 && o.dropout < 1)) reject("dropout", "a probability in [0, 1)", text(o.dropout));
  if (!info.uses_dropout && o.dropout != 0) reject("dropout", not_mine, text(o.dropout));
  check_form(info, "gamma", o.gamma, info.gamma_forms);
  check_form(info, "alpha", o.alpha, info.alpha_forms);
  check_form(info, "beta", o.beta, info.beta_forms);
  if (o.beta != Form::kVector && info.uses_heads && o.num_heads != 1) {
    reject("num_heads", std::string("1 with beta ") + name_of(o.beta), text(o.num_heads));
  }
}

void check_forward(const Norm& norm, const NormInfo& info, const ForwardArgs& args) {
  const CallCheck check(norm, args.rows, args.x);
  check.data("y", args.y, true);
  check.data("residual", args.residual, false);
  check.data("sum", args.sum, false);
  if (!info.residual && (args.residual || args.sum)) {
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

void check_backward(const Norm& norm, const NormInfo& info, const BackwardArgs& args, size_t scratch_bytes) {
  const CallCheck check(norm, args.rows, args.x);
  check.data("dy", args.dy, true);
  check.data("dx", args.dx, true);
  check.data("dsum", args.dsum, false);
  if (!info.residual && args.dsum) check.reject("dsum", "null (the layer has no fused residual add)", "rows");
  check.params(args.params, args.rows_per_sample);
  if (args.stats == nullptr && norm.num_stats() > 0 && args.rows > 0) {
    check.reject("stats", text(norm.num_stats()) + " values a row, as forward wrote them", "null");
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
    if (static_cast<uint32_t>(grad.dtype) > 3) {
      check.reject(std::string("grads.") + name_of(param), "a dtype", text(static_cast<int64_t>(grad.dtype)));
    }
    if (norm.kind(param) == ParamKind::kPerSample)
      check.sample_stride(std::string("grads.") + name_of(param), grad);
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
