#include "lab/language/models/config.h"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

constexpr int64_t kMaxVocabSize = int64_t{1} << 27, kMaxContext = int64_t{1} << 24,
                  kMaxDim = int64_t{1} << 20, kMaxLayers = 4096, kMaxExperts = 65536;
constexpr double kMaxParams = 1e13;
constexpr const char* kPlacements[] = {"pre", "post", "peri", "reordered"};

std::string text_of(int64_t value) { return std::to_string(value); }
std::string text_of(double value) {
  std::ostringstream out;
  out << value;
  return out.str();
}

// NaN fails every check.
template <class T>
void require(bool holds, const std::string& setting, const std::string& expected, T got) {
  if (!holds) throw std::invalid_argument(setting + ": expected " + expected + ", got " + text_of(got));
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
  throw std::invalid_argument("family: expected one of " + all + ", got " + quote(name));
}

bool has_experts(Family family) { return family == Family::k_olmoe; }

const std::vector<NormSite>& norm_sites(Family) {
  // Both families are decoders with the same norm sites.
  static const std::vector<NormSite> kDecoderSites = {
      {"block", "norm of the sublayers, as in seed_norm(alpha_init=0.1)"},
      {"qk", "norm of queries and keys"},
      {"output", "norm before the head"}};
  return kDecoderSites;
}

const char* name_of(NormPlacement placement) { return kPlacements[static_cast<int>(placement)]; }

NormPlacement placement_of(std::string_view name) {
  std::string all;
  for (size_t i = 0; i < std::size(kPlacements); ++i) {
    if (name == kPlacements[i]) return static_cast<NormPlacement>(i);
    all += (i == 0 ? "" : ", ") + std::string(kPlacements[i]);
  }
  throw std::invalid_argument("expected one of " + all + ", got " + quote(name));
}

NormPlacement own_placement(Family family) {
  switch (family) {
    case Family::k_olmo2:
      return NormPlacement::kReordered;
    case Family::k_olmoe:
      return NormPlacement::kPre;
  }
  throw std::invalid_argument("family: unknown");
}

void ModelConfig::set_family(Family other) {
  family = other;
  norms.declare(norm_sites(other));
}

double ModelConfig::estimated_params() const {
  const auto width = static_cast<double>(dim), hidden = static_cast<double>(ffn_dim);
  const double kv = width * static_cast<double>(num_kv_heads) / static_cast<double>(num_heads);
  const double attention = 2 * width * width + 2 * width * kv;
  const double feed_forward = 3 * width * hidden * static_cast<double>(std::max<int64_t>(num_experts, 1));
  return static_cast<double>(vocab_size) * width * (tied ? 1 : 2) +
         static_cast<double>(num_layers) * (attention + feed_forward);
}

void ModelConfig::check() const {
  struct Size {
    const char* setting;
    int64_t value, least, most;
  };
  // More than anybody has trained, and small enough that products of two fit in 64 bits.
  for (const Size& s : {Size{"vocab_size", vocab_size, 1, kMaxVocabSize},
                        {"context", context, 1, kMaxContext},
                        {"dim", dim, 1, kMaxDim},
                        {"num_layers", num_layers, 1, kMaxLayers},
                        {"num_heads", num_heads, 1, kMaxDim},
                        {"num_kv_heads", num_kv_heads, 1, kMaxDim},
                        {"ffn_dim", ffn_dim, 1, kMaxDim},
                        {"num_experts", num_experts, 0, kMaxExperts},
                        {"top_k", top_k, 0, kMaxExperts},
                        {"frac_rate", frac_rate, 0, kMaxDim}}) {
    require(s.value >= s.least && s.value <= s.most, s.setting,
            std::to_string(s.least) + " to " + std::to_string(s.most), s.value);
  }
  require(dim % (2 * num_heads) == 0, "num_heads",
          "heads of an even width that fill the width " + std::to_string(dim), num_heads);
  require(num_heads % num_kv_heads == 0, "num_kv_heads",
          "a divisor of num_heads = " + std::to_string(num_heads), num_kv_heads);
  const std::string of_family = " in the family " + std::string(name_of(family));
  if (has_experts(family)) {
    require(num_experts >= 1, "num_experts", "1 or more" + of_family, num_experts);
    require(top_k >= 1 && top_k <= num_experts, "top_k", "1 to num_experts = " + std::to_string(num_experts),
            top_k);
  } else {
    require(num_experts == 0, "num_experts", "0" + of_family + ", which has no experts", num_experts);
    require(top_k == 0, "top_k", "0" + of_family + ", which has no experts", top_k);
  }
  require(frac_rate >= 0 && (frac_rate == 0 || dim % frac_rate == 0), "frac_rate",
          "0, or a divisor of the width " + std::to_string(dim), frac_rate);
  require(rope_theta > 1 && rope_theta <= 1e12, "rope_theta", "more than 1, at most 1e12", rope_theta);
  require(norm_eps > 0 && norm_eps <= 1, "norm_eps", "more than 0, at most 1", norm_eps);
  require(init_std >= 0 && init_std <= 1e6, "init_std", "0 to 1e6", init_std);
  if (!(estimated_params() <= kMaxParams)) {
    throw std::invalid_argument(
        "dim, num_layers, ffn_dim, vocab_size: expected a model of at most 1e13 parameters, got " +
        text_of(estimated_params()));
  }
}

}  // namespace seednorm::lab
