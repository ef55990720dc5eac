#include "lab/nn/norm_conversion.h"

namespace seednorm::lab {
namespace {

// Whether `param` has the same meaning in both layers; a slope or a dynamic parameter has only in its own
// norm.
bool is_shared(const seednorm::Norm& a, const seednorm::Norm& b, Param param) {
  if (a.kind(param) != b.kind(param) || form_of(a.options(), param) != form_of(b.options(), param))
    return false;
  if (a.name() == b.name()) return true;
  return a.role(param) == b.role(param) &&
         (a.role(param) == ParamRole::kGain || a.role(param) == ParamRole::kOffset);
}

}  // namespace

void share_params(const NormLayer& from, const NormLayer& to) {
  const at::NoGradGuard no_grad;
  for (const NormParam& p : to.params()) {
    if (is_shared(from.layer(), to.layer(), p.param))
      at::Tensor(to.param(p.param)).copy_(from.param(p.param));
  }
}

std::string why_outputs_differ(const NormLayer& from, const NormLayer& to) {
  if (from.spec().text() == to.spec().text()) return "";
  if (from.spec().gate_rank != to.spec().gate_rank) return "their gate_rank differs";
  const seednorm::Norm &a = from.layer(), &b = to.layer();
  const std::string old_name(a.name()), new_name(b.name());
  const char* const start = b.info().starts_as;
  if (start == nullptr) return new_name + " begins as no other norm";
  if (a.name() != start) {
    return new_name + " begins as " + start + ", not as " + old_name;
  }
  if (a.options().eps != b.options().eps) return "the eps of " + old_name + " is another";
  const Options& o = b.options();
  // Without a gamma, RMSNorm's is 1, as SeeDNorm's is at first; SeeDNorm without one has 0.
  if (o.gamma == Form::kNone || (a.options().gamma != o.gamma && a.options().gamma != Form::kNone)) {
    return "their gamma have other forms";
  }
  if (o.beta == Form::kNone) return "without beta its dynamic coefficient is not 0 at first";
  if (o.sigma == Sigma::kSigmoid) return "sigmoid(0) is not 0";
  return "";
}

}  // namespace seednorm::lab
