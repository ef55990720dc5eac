// From a model's logits to the next token.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_SAMPLER_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_SAMPLER_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace seednorm::lab {

struct SamplingConfig {
  double temperature = 1;  // 0: always the likeliest token
  int64_t top_k = 0;       // only the k likeliest; 0: all
  double top_p = 1;        // only the fewest likeliest tokens that have this probability together
  uint64_t seed = 0;

  // Errors (std::invalid_argument): outside of their ranges.
  void check() const;
};

// Draws the tokens of one sequence. What it draws depends on the seed, on how many it drew before, and on the
// logits alone.
class Sampler {
 public:
  explicit Sampler(const SamplingConfig& config);

  // Temperature first, then top_k, then top_p, as everybody does. Equal logits: the lower token comes first.
  // Errors (std::runtime_error): a logit is NaN or +Inf.
  int32_t next(std::span<const float> logits);

 private:
  using Candidate = std::pair<double, int32_t>;  // probability up to a factor, token

  void keep_likeliest();
  double uniform();  // in [0, 1)

  SamplingConfig config_;
  uint64_t drawn_ = 0;
  std::vector<Candidate> candidates_;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_GENERATE_SAMPLER_H_
