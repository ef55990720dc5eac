// The text form of a norm in settings. Without libtorch.
#ifndef SEEDNORM_LAB_NN_NORM_SPEC_H_
#define SEEDNORM_LAB_NN_NORM_SPEC_H_

#include <optional>
#include <string>
#include <string_view>

#include "seednorm/norm.h"

namespace seednorm::lab {

// The norm at a site of a model, as it is written in settings: a name of norm_names(), or batch_norm or
// switchable_norm, followed by the settings that differ from the defaults in brackets: "rms_norm",
// "seed_norm(alpha_init=0.1, num_heads=4)".
struct NormSpec {
  std::string name = "rms_norm";
  Options options;
  std::optional<double> alpha_init;  // default: the norm's own
  // The divisor of the dot product, in addition to dot_scale. Appendix D.2 says "the dimension".
  enum class Divisor { kOne, kHeadWidth, kWidth };
  Divisor divisor = Divisor::kOne;  // dot_scale=1/d is the width of a head, dot_scale=1/D that of the layer
  // The rank of the gate behind the norm (GatedNorm, arXiv 2601.22966; see NormLayer); 0: there is none.
  int64_t gate_rank = 0;

  // Errors (std::invalid_argument): not a norm (the nearest name is given), not a setting of one, a value
  // that does not parse.
  static NormSpec parse(std::string_view text);
  // batch_norm and switchable_norm take statistics from the batch and not from a row, so that they are none
  // of the core's norms. Only models that say so have sites for them.
  bool needs_batch() const;
  // The core's norm for rows of this width. Errors (std::invalid_argument): as its constructor; a norm over
  // the batch.
  seednorm::Norm layer(int64_t dim) const;
  // The same with this eps, if the norm has an eps and settings have not given another one.
  NormSpec with_eps(double eps) const;
  // The text that parse reads, with only the settings that differ from the defaults. Equal layers have equal
  // texts.
  std::string text() const;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_NN_NORM_SPEC_H_
