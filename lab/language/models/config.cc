#include "lab/language/models/config.h"

#include <stdexcept>

namespace seednorm::lab {
namespace {

void require(bool holds, const std::string& setting, const std::string& expected, int64_t got) {
  if (!holds) {
    throw std::invalid_argument(setting + ": expected " + expected + ", got " + std::to_string(got));
  }
}

}  // namespace

const char* name_of(Family family) {
  constexpr const char* kNames[] = {
#define SEEDNORM_MODEL(name) #name,
#include "lab/language/models/models.def"
#undef SEEDNORM_MODEL
  };
  return kNames[static_cast<int>(family)];
}

std::vector<std::string> family_names() {
  return {
#define SEEDNORM_MODEL(name) #name,
#include "lab/language/models/models.def"
#undef SEEDNORM_MODEL
  };
}

Family family_of(const std::string& name) {
  const std::vector<std::string> names = family_names();
  std::string all;
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<Family>(i);
    all += (i == 0 ? "" : ", ") + names[i];
  }
  throw std::invalid_argument("family: expected one of " + all + ", got \"" + name + "\"");
}

void ModelConfig::check() const {
  for (const auto& [setting, value] : {std::pair{"vocab_size", vocab_size},
                                       {"context", context},
                                       {"dim", dim},
                                       {"num_layers", num_layers},
                                       {"num_heads", num_heads},
                                       {"num_kv_heads", num_kv_heads},
                                       {"ffn_dim", ffn_dim}}) {
    require(value >= 1, setting, "1 or more", value);
  }
  require(dim % (2 * num_heads) == 0, "num_heads",
          "heads of an even width that fill the width " + std::to_string(dim), num_heads);
  require(num_heads % num_kv_heads == 0, "num_kv_heads",
          "a divisor of num_heads = " + std::to_string(num_heads), num_kv_heads);
  if (num_experts != 0 || top_k != 0) {
    require(num_experts >= 1, "num_experts", "1 or more", num_experts);
    require(top_k >= 1 && top_k <= num_experts, "top_k", "1 to num_experts = " + std::to_string(num_experts),
            top_k);
  }
  require(frac_rate >= 0 && (frac_rate == 0 || dim % frac_rate == 0), "frac_rate",
          "0, or a divisor of the width " + std::to_string(dim), frac_rate);
  if (!(rope_theta > 1)) throw std::invalid_argument("rope_theta: expected more than 1");
  if (!(norm_eps > 0)) throw std::invalid_argument("norm_eps: expected more than 0");
}

}  // namespace seednorm::lab
