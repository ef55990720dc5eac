// A call of an operator, without PyTorch: which tensors and options each norm takes, in which order, and how
// they are checked. All of this follows from the norm's description, so that a new norm needs no line here.
#ifndef SEEDNORM_OPS_CALL_H_
#define SEEDNORM_OPS_CALL_H_

#include <cstdint>
#include <optional>
#include <string>

#include "core/kernel/norm_info.h"
#include "seednorm/norm.h"

namespace seednorm::ops {

// The operators of a norm `name`: name, add_name (with fused residual add), name_backward (of both).
enum class Kind : int32_t { kForward = 0, kAddForward, kBackward };
constexpr int kNumKinds = 3;

// The properties of a tensor without its elements.
struct TensorInfo {
  bool given = false;
  int64_t ndim = 0;
  const int64_t* sizes = nullptr;
  std::optional<DType> dtype;   // empty if the kernels do not support it
  const char* dtype_name = "";  // as PyTorch spells it
  const char* device = "";      // type of device: "cpu"
  int32_t device_index = 0;
};

// Arguments of an operator; T stands for a tensor.
template <class T>
struct Arguments {
  T x{}, residual{}, dy{}, stats{}, dsum{};
  ParamSet<T> params{};
  int64_t num_heads = 1;
  double eps = 1e-6;
  int64_t sigma = 0;  // seednorm::Sigma
  double dot_scale = 1.0;
  bool plus_one = false;     // the layer uses 1 + gamma
  bool elementwise = false;  // u_i = sigma(x_i beta_i)
  double dropout = 0.0;
  T seed{};  // int64 [2], seed and offset of dropout; None means no dropout

  bool keep_stats = true;  // forward: false leaves stats empty, for inference
  int64_t wanted = -1;     // backward: bit i asks for the gradient of the norm's parameter i
};

// Whether the options may choose this form for the norm's parameter.
inline bool may_be(const NormInfo& info, Param param, Form form) {
  const NormParamInfo* const own = info.find(param);
  return own != nullptr && own->forms.contains(form);
}

// Calls visit(type, name, default, field) for each argument of an operator of the norm, in the order of its
// schema. An argument with an empty default must be given.
template <class Args, class Visit>
void visit_arguments(const NormInfo& info, Kind kind, Args& a, const Visit& visit) {
  const bool backward = kind == Kind::kBackward;
  if (backward) visit("Tensor", "dy", "", a.dy);
  visit("Tensor", "x", "", a.x);
  if (kind == Kind::kAddForward) visit("Tensor", "residual", "", a.residual);
  for (const NormParamInfo& p : info.params()) visit("Tensor?", name_of(p.param), "", a.params[p.param]);
  if (backward) visit("Tensor", "stats", "", a.stats);
  if (backward && info.has_residual_add) visit("Tensor?", "dsum", "", a.dsum);
  if (info.has_heads) visit("int", "num_heads", "1", a.num_heads);
  if (info.has_eps) visit("float", "eps", "1e-6", a.eps);
  if (info.has_sigma) visit("int", "sigma", "0", a.sigma);
  if (info.has_sigma) visit("float", "dot_scale", "1.0", a.dot_scale);
  if (may_be(info, Param::kGamma, Form::kPlusOne)) visit("bool", "plus_one", "False", a.plus_one);
  if (may_be(info, Param::kBeta, Form::kElementwise)) visit("bool", "elementwise", "False", a.elementwise);
  if (info.has_dropout) visit("float", "dropout", "0.0", a.dropout);
  if (info.has_dropout) visit("Tensor?", "seed", "None", a.seed);
  if (backward) {
    visit("int", "wanted", "-1", a.wanted);
  } else {
    visit("bool", "keep_stats", "True", a.keep_stats);
  }
}

// The operator's schema, as in "seed_norm(Tensor x, Tensor? gamma, ...) -> (Tensor y, Tensor stats)". The
// outputs are y, sum (of add_name) and stats, or dx and the gradient of each parameter, which is empty if it
// was not requested.
std::string schema(const NormInfo& info, Kind kind);

// A checked call.
struct Call {
  Norm norm;
  DType dtype;  // of the data
  int64_t rows;
  int64_t rows_per_sample;  // 1 or more
};

// Throws std::invalid_argument "[layer] argument: expected ..., got ...".
Call check_call(const NormInfo& info, Kind kind, const Arguments<TensorInfo>& args);

}  // namespace seednorm::ops

#endif  // SEEDNORM_OPS_CALL_H_
