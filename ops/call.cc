#include "ops/call.h"

#include <algorithm>
#include <cstring>

#include "core/src/check.h"

namespace seednorm::ops {
namespace {

std::string shape(const int64_t* sizes, int64_t ndim) {
  std::string text = "[";
  for (int64_t i = 0; i < ndim; ++i) text += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  return text + "]";
}
std::string shape(const TensorInfo& t) { return t.given ? shape(t.sizes, t.ndim) : "None"; }

bool same_shape(const TensorInfo& t, const int64_t* sizes, int64_t ndim) {
  return t.given && t.ndim == ndim && std::memcmp(t.sizes, sizes, sizeof(int64_t) * ndim) == 0;
}

class Checker {
 public:
  Checker(const NormInfo& info, const Arguments<TensorInfo>& args) : info_(info), args_(args), x_(args.x) {
    if (x_.ndim < 1)
      reject("x", "one dimension or more, of which the last is the row", "a tensor without dimensions");
    if (!x_.dtype) reject("x", "float32, bfloat16, float16 or float64", x_.dtype_name);
    dtype_ = *x_.dtype;
    dim_ = x_.sizes[x_.ndim - 1];
    for (int64_t i = 0; i < x_.ndim - 1; ++i) rows_ *= x_.sizes[i];
  }

  // The core's options. The form of a parameter follows from what was given for it.
  Options options() const {
    Options o;
    o.num_heads = args_.num_heads;
    o.eps = args_.eps;
    if (args_.sigma < 0 || args_.sigma >= kNumSigmas) {
      reject("sigma", "0 to " + std::to_string(kNumSigmas - 1), std::to_string(args_.sigma));
    }
    o.sigma = static_cast<Sigma>(args_.sigma);
    o.dot_scale = args_.dot_scale;
    o.dropout = args_.dropout;
    const auto form = [this](Param param) {
      const TensorInfo& t = args_.params[param];
      if (!t.given && may_be(info_, param, Form::kNone)) return Form::kNone;
      const bool scalar = t.given && t.ndim == 1 && t.sizes[0] == 1 && dim_ != 1;
      return scalar && may_be(info_, param, Form::kScalar) ? Form::kScalar : Form::kVector;
    };
    o.gamma = form(Param::kGamma);
    o.alpha = form(Param::kAlpha);
    o.beta = form(Param::kBeta);
    if (args_.plus_one && !args_.params.gamma.given) reject("gamma", "a tensor, with plus_one", "None");
    if (args_.plus_one) o.gamma = Form::kPlusOne;
    if (args_.elementwise && !args_.params.beta.given) reject("beta", "a tensor, with elementwise", "None");
    if (args_.elementwise) o.beta = Form::kElementwise;
    return o;
  }

  Call call(Kind kind) const {
    Call c{Norm(info_, dim_, options()), dtype_, rows_, std::max<int64_t>(rows_, 1)};
    if (kind == Kind::kAddForward) like_x("residual", args_.residual);
    if (kind == Kind::kBackward) {
      like_x("dy", args_.dy);
      if (args_.dsum.given) like_x("dsum", args_.dsum);
      stats(c.norm.num_stats());
    }
    for (const NormParamInfo& p : info_.params()) param(&c, p.param);
    seed();
    return c;
  }

 private:
  [[noreturn]] void reject(const char* argument, const std::string& expected, const std::string& got) const {
    fail(info_.name, argument, expected, got);
  }

  void same_device(const char* argument, const TensorInfo& t) const {
    if (std::strcmp(t.device, x_.device) == 0 && t.device_index == x_.device_index) return;
    const auto place = [](const TensorInfo& of) {
      std::string text = of.device;
      if (text == "cuda") text.append(":").append(std::to_string(of.device_index));
      return text;
    };
    reject(argument, "a tensor on " + place(x_) + ", where x is", place(t));
  }

  void like_x(const char* argument, const TensorInfo& t) const {
    if (!same_shape(t, x_.sizes, x_.ndim)) reject(argument, "the shape of x, " + shape(x_), shape(t));
    if (t.dtype != x_.dtype) reject(argument, std::string("the dtype of x, ") + x_.dtype_name, t.dtype_name);
    same_device(argument, t);
  }

  void stats(int64_t num_stats) const {
    const TensorInfo& t = args_.stats;
    const bool fits = t.ndim == x_.ndim && t.sizes[t.ndim - 1] == num_stats &&
                      std::memcmp(t.sizes, x_.sizes, sizeof(int64_t) * (t.ndim - 1)) == 0;
    if (!fits) {
      std::string batch = shape(x_.sizes, x_.ndim - 1);
      batch.back() = ',';
      reject("stats",
             (x_.ndim == 1 ? "[" : batch + " ") + std::to_string(num_stats) + "], as forward made it",
             shape(t));
    }
    const DType wide = dtype_ == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    if (t.dtype != wide) reject("stats", name_of(wide), t.dtype_name);
    same_device("stats", t);
  }

  void param(Call* call, Param param) const {
    const TensorInfo& t = args_.params[param];
    const char* const name = name_of(param);
    switch (call->norm.kind(param)) {
      case ParamKind::kAbsent:
        if (t.given) reject(name, "None", shape(t));
        return;
      case ParamKind::kVector:
        if (!same_shape(t, &dim_, 1)) reject(name, shape(&dim_, 1), shape(t));
        break;
      case ParamKind::kScalar:
        if (const int64_t one = 1; !same_shape(t, &one, 1)) reject(name, "[1]", shape(t));
        break;
      case ParamKind::kPerSample:
        call->rows_per_sample = std::min(call->rows_per_sample, rows_per_sample(name, t));
        break;
    }
    if (!t.dtype || (*t.dtype == DType::kFloat64) != (dtype_ == DType::kFloat64)) {
      reject(name,
             dtype_ == DType::kFloat64
                 ? "float64, beside float64 data"
                 : std::string("float32, bfloat16 or float16, beside ") + x_.dtype_name + " data",
             t.dtype_name);
    }
    same_device(name, t);
  }

  // One row of t for each of x's leading indices, [B, D] or [B, 1, D] beside [B, N, D]. Both of a norm's
  // such parameters must agree.
  int64_t rows_per_sample(const char* name, const TensorInfo& t) const {
    int64_t leading = t.given ? t.ndim - 1 : 0;
    while (leading > 0 && t.sizes[leading - 1] == 1) --leading;
    bool fits = t.given && t.ndim >= 1 && t.ndim <= x_.ndim && t.sizes[t.ndim - 1] == dim_;
    int64_t samples = 1;
    for (int64_t i = 0; fits && i < leading; ++i) {
      fits = t.sizes[i] == x_.sizes[i];
      samples *= t.sizes[i];
    }
    const TensorInfo& first = args_.params.gamma_c;
    if (fits && first.given && !same_shape(t, first.sizes, first.ndim)) {
      reject(name, "the shape of gamma_c, " + shape(first), shape(t));
    }
    if (!fits) reject(name, "[samples, " + std::to_string(dim_) + "] for x of " + shape(x_), shape(t));
    return samples == 0 ? 1 : std::max<int64_t>(rows_ / samples, 1);
  }

  void seed() const {
    const TensorInfo& t = args_.seed;
    if (!t.given) return;
    if (const int64_t two = 2; !same_shape(t, &two, 1)) reject("seed", "[2], seed and offset", shape(t));
    if (std::strcmp(t.dtype_name, "int64") != 0) reject("seed", "int64", t.dtype_name);
    same_device("seed", t);
  }

  const NormInfo& info_;
  const Arguments<TensorInfo>& args_;
  const TensorInfo& x_;
  DType dtype_ = DType::kFloat32;
  int64_t dim_ = 0;
  int64_t rows_ = 1;
};

}  // namespace

std::string schema(const NormInfo& info, Kind kind) {
  const bool backward = kind == Kind::kBackward;
  std::string text = std::string(kind == Kind::kAddForward ? "add_" : "") + info.name +
                     (backward ? "_backward" : "") + "(",
              comma;
  Arguments<TensorInfo> unused;
  visit_arguments(info, kind, unused,
                  [&](const char* type, const char* name, const std::string& default_value, const auto&) {
                    text += comma + type + " " + name + (default_value.empty() ? "" : "=" + default_value);
                    comma = ", ";
                  });
  text += backward                    ? ") -> (Tensor dx"
          : kind == Kind::kAddForward ? ") -> (Tensor y, Tensor sum"
                                      : ") -> (Tensor y";
  if (!backward) return text + ", Tensor stats)";
  for (const NormParamInfo& p : info.params()) text += std::string(", Tensor d") + name_of(p.param);
  return text + ")";
}

Call check_call(const NormInfo& info, Kind kind, const Arguments<TensorInfo>& args) {
  return Checker(info, args).call(kind);
}

}  // namespace seednorm::ops
