#include "lab/language/analyze/activations.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <charconv>
#include <cmath>

namespace seednorm::lab {
namespace {

using at::Tensor;

const std::string kLayers = "model.layers.";

std::optional<int64_t> layer_of(const std::string& module) {
  if (!module.starts_with(kLayers)) return std::nullopt;
  int64_t layer = 0;
  std::from_chars(module.data() + kLayers.size(), module.data() + module.size(), layer);
  return layer;
}

// The norms that touch the experts of a layer: the one whose output they get, if the placement has one, and
// the first one that gets theirs.
std::vector<std::string> norms_around_experts(const ModelConfig& c, int64_t layer) {
  const std::string here = kLayers + std::to_string(layer) + ".";
  const std::string next =
      layer + 1 < c.num_layers ? kLayers + std::to_string(layer + 1) + ".input_layernorm" : "model.norm";
  switch (c.placement()) {
    case NormPlacement::kPre:
      return {here + "post_attention_layernorm", next};
    case NormPlacement::kPeri:
      return {here + "pre_feedforward_layernorm", here + "post_feedforward_layernorm"};
    case NormPlacement::kPost:
    case NormPlacement::kReordered:
      return {here + "post_feedforward_layernorm"};
  }
  return {};
}

void append(std::vector<double>& to, const Tensor& from) {
  const Tensor values = from.contiguous();
  to.insert(to.end(), values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel());
}

double rms_of(const Tensor& values) {
  double sum = 0;
  const Tensor all = values.to(at::kDouble).contiguous();
  for (int64_t i = 0; i < all.numel(); ++i)
    sum += all.const_data_ptr<double>()[i] * all.const_data_ptr<double>()[i];
  return std::sqrt(sum / static_cast<double>(all.numel()));
}

// The factor of the dot product with another number of heads: of a divisor that is a head's width, it
// changes.
double dot_scale(const NormLayer& norm, int64_t heads) {
  const Options& o = norm.layer().options();
  const bool by_head = norm.spec().divisor == NormSpec::Divisor::kHeadWidth;
  return by_head ? o.dot_scale * static_cast<double>(heads) / static_cast<double>(o.num_heads) : o.dot_scale;
}

// z [R, heads] from the products x beta [R, D].
Tensor dots_of(const Tensor& products, int64_t heads, double scale) {
  return products.unflatten(-1, {heads, products.size(-1) / heads}).sum(-1) * scale;
}

void add(HeadSums& sums, Sigma sigma, const Tensor& z) {
  const Tensor dots = z.contiguous(), values = sigma_of(sigma, dots).contiguous();
  const double point = saturation_point(sigma).value_or(INFINITY);
  const double *each_z = dots.const_data_ptr<double>(), *each_u = values.const_data_ptr<double>();
  for (int64_t i = 0; i < dots.numel(); ++i) {
    sums.z_squares += each_z[i] * each_z[i];
    sums.u_squares += each_u[i] * each_u[i];
    sums.num_saturated += std::fabs(each_z[i]) > point ? 1 : 0;
  }
  sums.count += dots.numel();
}

MeasuredNorm measured_norm(const std::string& name, const NormLayer& norm) {
  MeasuredNorm out = {.name = name, .site = place_of(name).site, .spec = norm.spec(), .by_heads = {}};
  const Tensor &alpha = norm.param(Param::kAlpha), &gamma = norm.param(Param::kGamma);
  const bool plus_one = norm.layer().options().gamma == Form::kPlusOne;
  out.rms_alpha = alpha.defined() ? rms_of(alpha) : 1;
  out.rms_gamma = gamma.defined() ? rms_of(plus_one ? gamma + 1 : gamma) : 0;
  for (int64_t heads = 1; heads <= norm.layer().dim(); ++heads) {
    if (norm.layer().dim() % heads == 0) out.by_heads.push_back({.heads = heads});
  }
  return out;
}

}  // namespace

NormPlace place_of(const std::string& norm) {
  const std::string site = norm.ends_with(".q_norm") || norm.ends_with(".k_norm") ? "qk"
                           : norm == "model.norm"                                 ? "output"
                           : norm.ends_with("_site.norm")                         ? "frac"
                                                                                  : "block";
  return {site, layer_of(norm)};
}

ActivationRecorder::ActivationRecorder(Model& model, int64_t every) : model_(model), every_(every) {
  for (const auto& [name, norm] : model.norms()) {
    records_.push_back({name, norm, {}, {}, {}});
    if (norm->has_dot_product()) records_.back().measured = measured_norm(name, *norm);
  }
  for (Record& r : records_) {
    r.norm->set_observer([this, &r](const Tensor& input) { record(r, input); });
  }
  for (const auto& module : model.named_modules({}, /*include_self=*/false)) {
    auto* moe = dynamic_cast<Moe*>(module.value().get());
    if (moe == nullptr) continue;
    const int64_t layer = layer_of(module.key()).value();
    experts_[layer] = moe;
    moe->set_observer([this, &all = chosen_[layer]](const Tensor& chosen) {
      const Tensor some = chosen.slice(0, 0, chosen.size(0), every_).cpu().contiguous();
      all.insert(all.end(), some.const_data_ptr<int64_t>(), some.const_data_ptr<int64_t>() + some.numel());
    });
  }
}

ActivationRecorder::~ActivationRecorder() {
  for (Record& r : records_) r.norm->set_observer({});
  for (const auto& [layer, moe] : experts_) moe->set_observer({});
}

// Input is [B, T, ..., D]: a norm of queries, keys or pieces of the stream has several rows for a token.
void ActivationRecorder::record(Record& record, const Tensor& input) const {
  const at::NoGradGuard no_grad;
  const Tensor tokens = input.flatten(0, 1);
  const Tensor rows = tokens.slice(0, 0, tokens.size(0), every_).cpu().to(at::kDouble).flatten(0, -2);
  append(record.rms, rows.square().mean(-1).sqrt());
  if (!record.norm->has_dot_product()) return;
  const Options& options = record.norm->layer().options();
  const Tensor products = rows * record.norm->param(Param::kBeta).cpu().to(at::kDouble);
  append(record.z, dots_of(products, options.num_heads, options.dot_scale));
  for (HeadSums& sums : record.measured.by_heads) {
    add(sums, options.sigma, dots_of(products, sums.heads, dot_scale(*record.norm, sums.heads)));
  }
}

std::vector<NormActivations> ActivationRecorder::activations() const {
  std::vector<NormActivations> out;
  for (const Record& r : records_) {
    NormActivations norm = {.name = r.name, .place = place_of(r.name), .rms = distribution_of(r.rms)};
    if (r.norm->has_dot_product()) {
      const Options& options = r.norm->layer().options();
      const Tensor u = sigma_of(options.sigma, at::tensor(r.z, at::kDouble));
      norm.z = distribution_of(r.z);
      norm.u = distribution_of({u.const_data_ptr<double>(), u.const_data_ptr<double>() + u.numel()});
      norm.saturated = r.measured.with(options.num_heads)->saturated();
    }
    out.push_back(std::move(norm));
  }
  for (const auto& [layer, chosen] : chosen_) {
    for (const std::string& name : norms_around_experts(model_.config(), layer)) {
      for (size_t i = 0; i < records_.size(); ++i) {
        const Record& r = records_[i];
        if (r.name != name) continue;
        const auto tokens = static_cast<int64_t>(r.rms.size());
        const int64_t experts = experts_.at(layer)->num_experts();
        out[i].rms_by_expert = grouped(r.rms, chosen, tokens, experts);
        if (!r.z.empty()) out[i].z_by_expert = grouped(r.z, chosen, tokens, experts);
      }
    }
  }
  return out;
}

std::vector<MeasuredNorm> ActivationRecorder::measured() const {
  std::vector<MeasuredNorm> out;
  for (const Record& r : records_) {
    if (r.norm->has_dot_product()) out.push_back(r.measured);
  }
  return out;
}

}  // namespace seednorm::lab
