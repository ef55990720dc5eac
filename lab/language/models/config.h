// The configuration of a language model. Without libtorch, so that code that only reads and checks recipes
// does not need it.
#ifndef SEEDNORM_LAB_LANGUAGE_MODELS_CONFIG_H_
#define SEEDNORM_LAB_LANGUAGE_MODELS_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

// A family of models: a line in models.def and a file.
enum class Family {
#define SEEDNORM_MODEL(name) k_##name,
#include "lab/language/models/models.def"
#undef SEEDNORM_MODEL
};
const char* name_of(Family family);
std::vector<std::string> family_names();
// Errors (std::invalid_argument): not one of family_names().
Family family_of(const std::string& name);
// Whether the sublayer after attention is a mixture of experts.
bool has_experts(Family family);
// The sites at which the norms of the family's models can be chosen.
const std::vector<NormSite>& norm_sites(Family family);

// Where a sublayer T has its norm on the residual stream x.
enum class NormPlacement {
  kPre,        // x + T(norm(x))
  kPost,       // norm(x + T(x))
  kPeri,       // x + norm(T(norm(x))), with two norms (arXiv 2502.02732, without one of the embedding)
  kReordered,  // x + norm(T(x)) (arXiv 2501.00656)
};
const char* name_of(NormPlacement placement);  // "pre", "post", "peri", "reordered"
// Errors (std::invalid_argument): not one of these names.
NormPlacement placement_of(std::string_view name);
// The placement in the family's published models.
NormPlacement own_placement(Family family);

struct ModelConfig {
  Family family = Family::k_olmo2;
  int64_t vocab_size = 0;
  int64_t context = 0;  // tokens
  int64_t dim = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0;
  int64_t ffn_dim = 0;  // of the SwiGLU, or of each expert
  double rope_theta = 10000;
  double norm_eps = 1e-6;
  double init_std = 0.02;
  bool tied = true;  // embedding and head share one matrix
  bool embedding_scale =
      false;  // a learned factor on the embedding, sqrt(dim) at first (DyT's language recipe)

  NormSites norms{norm_sites(Family::k_olmo2)};
  bool qk_norm_per_head = true;
  std::optional<NormPlacement> norm_placement;  // of the sublayers' norms; nothing: the family's own
  // The output of the sublayers' norms in layer l = 1, 2, ... is divided by sqrt(l) (arXiv 2502.05795).
  bool norm_depth_scaling = false;

  // Mixture of experts; 0 in families without.
  int64_t num_experts = 0, top_k = 0;
  bool norm_topk_prob = false;

  int64_t frac_rate = 0;  // Frac-Connections: pieces of the residual stream; 0: plain residual

  // Changes to another family and its norm sites.
  void set_family(Family other);
  NormPlacement placement() const { return norm_placement.value_or(own_placement(family)); }
  // The approximate number of parameters, to within a few percent, without building the model.
  double estimated_params() const;
  // Errors (std::invalid_argument): sizes that do not fit together, or a model that no machine can hold.
  void check() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_MODELS_CONFIG_H_
