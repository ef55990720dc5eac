// The loss that a model must beat: the entropy of tokens that are drawn by their frequency alone.
#ifndef SEEDNORM_LAB_LANGUAGE_DATA_ENTROPY_H_
#define SEEDNORM_LAB_LANGUAGE_DATA_ENTROPY_H_

#include <cmath>
#include <cstdint>
#include <span>

namespace seednorm::lab {

// Nats per token of a text with these counts of each token; 0 for an empty text.
inline double unigram_entropy(std::span<const uint64_t> counts) {
  double total = 0, sum = 0;  // sum of n log n
  for (const uint64_t count : counts) {
    if (count == 0) continue;
    const auto n = static_cast<double>(count);
    total += n;
    sum += n * std::log(n);
  }
  return total > 0 ? std::log(total) - sum / total : 0;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_LANGUAGE_DATA_ENTROPY_H_
