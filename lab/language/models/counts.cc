#include "lab/language/models/counts.h"

#include "lab/nn/norm_flops.h"

namespace seednorm::lab {
namespace {

// A token's rows: a norm of queries, keys or pieces of the stream that is narrower than these has several.
double rows_of_token(const ModelConfig& c, const std::string& name, const NormLayer& norm) {
  const int64_t width = name.ends_with("k_norm") ? c.dim / c.num_heads * c.num_kv_heads : c.dim;
  return static_cast<double>(width / norm.layer().dim());
}

}  // namespace

Counts count(const Model& model) {
  const ModelConfig& c = model.config();
  Counts out;
  double matrices = 0;
  for (const ParamInfo& p : model.params()) {
    const int64_t size = p.tensor.numel();
    // Experts are stacked: [E, ...], of which a token meets top_k.
    const bool experts = c.num_experts > 0 && p.tensor.dim() == 3;
    const int64_t active = experts ? size / c.num_experts * c.top_k : size;
    out.params += size;
    out.active_params += active;
    // A tied embedding is multiplied once, as the head; an untied one is only looked up.
    const bool looked_up = p.role == Role::kEmbedding && !c.tied;
    if (p.tensor.dim() >= 2 && !looked_up) matrices += static_cast<double>(active);
  }
  for (const auto& [name, norm] : model.norms()) {
    for (const auto& p : norm->named_parameters()) out.norm_params += p.value().numel();
    out.extra_params -= norm->layer().dim();  // what RMSNorm would have
    out.norm_flops_per_unit += 3 * rows_of_token(c, name, *norm) * flops_of_row(*norm);
  }
  out.extra_params += out.norm_params;
  out.flops_per_unit = 6 * matrices + 6.0 * static_cast<double>(c.num_layers * c.context * c.dim);
  return out;
}

}  // namespace seednorm::lab
