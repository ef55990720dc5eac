// A model small enough to be run by the hundred, with everything that a family has.
#ifndef SEEDNORM_TESTS_LAB_LANGUAGE_SMALL_MODEL_H_
#define SEEDNORM_TESTS_LAB_LANGUAGE_SMALL_MODEL_H_

#include <string>

#include "lab/language/models/config.h"

namespace seednorm::lab {

inline ModelConfig small_model(const std::string& family, const std::string& norm = "rms_norm") {
  ModelConfig c;
  c.set_family(family_of(family));
  c.vocab_size = 50;
  c.context = 16;
  c.dim = 32;
  c.num_layers = 2;
  c.num_heads = 4;
  c.num_kv_heads = 2;
  c.ffn_dim = 24;
  if (family == "olmoe") c.num_experts = 8, c.top_k = 3;
  c.norms.set_all(NormSpec::parse(norm));
  c.init_std = 0.2;
  return c;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_TESTS_LAB_LANGUAGE_SMALL_MODEL_H_
