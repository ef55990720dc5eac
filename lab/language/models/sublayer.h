// The connection of sublayers with the residual stream.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_

#include <memory>
#include <utility>

#include "lab/language/models/model.h"

namespace seednorm::lab {

inline AttentionConfig attention_config(const ModelConfig& c) {
  return {.dim = c.dim,
          .num_heads = c.num_heads,
          .num_kv_heads = c.num_kv_heads,
          .qk_norm = c.norms["qk"],
          .qk_norm_per_head = c.qk_norm_per_head};
}

inline std::shared_ptr<FracSite> frac_site(const ModelConfig& c) {
  return std::make_shared<FracSite>(c.dim, c.frac_rate, c.norm_eps);
}

// Adds the last term of a plain residual, which is otherwise kept separate until a norm adds it.
inline at::Tensor joined(const Stream& s) { return s.delta.defined() ? s.x + s.delta : s.x; }

// h + T(norm(h)), or its Frac-Connection: work(normalized) is T.
template <class Work>
Stream pre_norm(const Stream& in, NormLayer& norm, const FracSite* site, const Work& work) {
  if (site != nullptr) {
    const FracSite::Read read = site->read(joined(in));
    return {site->write(work(norm.forward(read.input)), read), {}};
  }
  if (!in.delta.defined()) return {in.x, work(norm.forward(in.x))};
  const auto [normalized, sum] = norm.add(in.delta, in.x);
  return {sum, work(normalized)};
}

// h + norm(T(h)), or its Frac-Connection.
template <class Work>
Stream post_norm(const Stream& in, NormLayer& norm, const FracSite* site, const Work& work) {
  if (site != nullptr) {
    const FracSite::Read read = site->read(joined(in));
    return {site->write(norm.forward(work(read.input)), read), {}};
  }
  return {joined(in) + norm.forward(work(joined(in))), {}};
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_SUBLAYER_H_
