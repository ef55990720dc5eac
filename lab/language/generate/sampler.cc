#include "lab/language/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "seednorm/philox.h"

namespace seednorm::lab {
namespace {

void require(bool holds, const char* option, const char* expected) {
  if (!holds) throw std::invalid_argument(std::string(option) + ": expected " + expected);
}

}  // namespace

void SamplingConfig::check() const {
  require(temperature >= 0 && std::isfinite(temperature), "temperature", "0 or more");
  require(top_k >= 0, "top_k", "1 or more, or 0 for all tokens");
  require(top_p > 0 && top_p <= 1, "top_p", "a number above 0 and up to 1");
}

Sampler::Sampler(const SamplingConfig& config) : config_(config) { config.check(); }

double Sampler::uniform() {
  const uint64_t n = drawn_++, seed = config_.seed;
  const auto bits = philox({static_cast<uint32_t>(n), static_cast<uint32_t>(n >> 32), 0, 0},
                           {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return static_cast<double>((uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
}

// Keeps the candidates that top_k and top_p allow, the most likely first.
void Sampler::keep_likeliest() {
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
  };
  const auto k = static_cast<size_t>(config_.top_k);
  if (k > 0 && k < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + config_.top_k - 1, candidates_.end(),
                     likelier);
    candidates_.resize(k);
  }
  if (config_.top_p == 1) return;
  double total = 0;
  for (const Candidate& c : candidates_) total += c.first;
  // n tokens that have less than (1 - top_p) / n each have less than 1 - top_p together, so the others reach
  // top_p: only they need sorting.
  const double negligible = total * (1 - config_.top_p) / static_cast<double>(candidates_.size());
  std::erase_if(candidates_, [&](const Candidate& c) { return c.first < negligible; });
  std::sort(candidates_.begin(), candidates_.end(), likelier);
  double sum = 0;
  const auto last = std::find_if(candidates_.begin(), candidates_.end(), [&](const Candidate& c) {
    return (sum += c.first) >= config_.top_p * total;
  });
  if (last != candidates_.end()) candidates_.erase(last + 1, candidates_.end());
}

int32_t Sampler::next(std::span<const float> logits) {
  const auto best = std::max_element(logits.begin(), logits.end());
  const bool has_nan = std::any_of(logits.begin(), logits.end(), [](float l) { return std::isnan(l); });
  if (has_nan || !std::isfinite(*best)) {
    throw std::runtime_error("the model's logits are not finite: its weights are damaged, or it diverged");
  }
  if (config_.temperature == 0) return static_cast<int32_t>(best - logits.begin());
  candidates_.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const double probability = std::exp((static_cast<double>(logits[i]) - *best) / config_.temperature);
    candidates_.emplace_back(probability, static_cast<int32_t>(i));
  }
  keep_likeliest();
  double total = 0;
  for (const Candidate& c : candidates_) total += c.first;
  double left = uniform() * total;
  for (const Candidate& c : candidates_) {
    left -= c.first;
    if (left < 0) return c.second;
  }
  return candidates_.back().second;  // the sum was rounded up
}

}  // namespace seednorm::lab
