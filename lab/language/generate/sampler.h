// Samples the next token from a model's logits.
#ifndef SEEDNORM_LAB_LANGUAGE_GENERATE_SAMPLER_H_
#define SEEDNORM_LAB_LANGUAGE_GENERATE_SAMPLER_H_

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace seednorm::lab {

struct SamplingConfig {
  double temperature = 1;  // 0: always the most likely token
  int64_t top_k = 0;       // only the k most likely tokens; 0: all
  double top_p = 1;        // only the smallest set of most likely tokens with this total probability
  uint64_t seed = 0;

  // Errors (std::invalid_argument): values outside of their ranges.
  void check() const;
};

// Samples the tokens of one sequence. A sample depends only on the seed, the number of samples before it, and
// the logits.
class Sampler {
 public:
  explicit Sampler(const SamplingConfig& config);

  // Applies temperature, then top_k, then top_p, as is usual. Of equal logits the lower token comes first.
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
