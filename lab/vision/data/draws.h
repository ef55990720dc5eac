// Random numbers that depend on nothing but where they are used.
#ifndef SEEDNORM_LAB_VISION_DATA_DRAWS_H_
#define SEEDNORM_LAB_VISION_DATA_DRAWS_H_

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "seednorm/philox.h"

namespace seednorm::lab {

// What numbers are drawn for: each purpose has its own, whatever the others take.
enum class DrawsFor : uint32_t {
  kAugment = 1,
  kMix = 2,
  kErase = 3,
  kMask = 4,
  kDiffuse = 5,
  kSample = 6,
  kDropPath = 7,
  kDropout = 8,
  kLatent = 9
};

// The numbers of one row of one step: a pure function of (seed, purpose, step, row), so that all runs see the
// same, on any number of workers and ranks and after resuming. What it gives is fixed for good.
class Draws {
 public:
  // row < 2^32
  Draws(uint64_t seed, DrawsFor purpose, uint64_t step, uint64_t row)
      : counter_{0, static_cast<uint32_t>(row), static_cast<uint32_t>(step),
                 static_cast<uint32_t>(step >> 32)} {
    // A key of its own for each purpose; other users of Philox take the seed itself.
    const auto words = philox({static_cast<uint32_t>(purpose), 0, 0, 0x76697300},
                              {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    key_ = {words[0], words[1]};
  }

  uint32_t bits() {
    if (next_ == 4) {
      words_ = philox(counter_, key_);
      ++counter_[0];
      next_ = 0;
    }
    return words_[next_++];
  }
  // 0 <= u < 1, a multiple of 2^-53.
  double uniform() {
    const uint64_t high = bits() >> 5, low = bits() >> 6;
    return static_cast<double>(high << 26 | low) * 0x1p-53;
  }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  // 0 .. num - 1
  int below(int num) { return static_cast<int>(uniform() * num); }
  // Mean 0 and variance 1, by Box and Muller; two at once.
  std::array<double, 2> normals() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    const double angle = 2 * std::numbers::pi * uniform();
    return {radius * std::cos(angle), radius * std::sin(angle)};
  }
  double normal() { return normals()[0]; }
  // The beta distribution, a and b > 0, by two gamma variates.
  double beta(double a, double b) {
    const double x = gamma(a), y = gamma(b);
    return x + y > 0 ? x / (x + y) : 0.5;
  }

 private:
  // Marsaglia and Tsang, 2000; below 1 by a power of a uniform.
  double gamma(double shape) {
    if (shape < 1) {
      const double u = 1 - uniform();
      return gamma(shape + 1) * std::pow(u, 1 / shape);
    }
    const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
      const double x = normal(), v = std::pow(1 + c * x, 3);
      if (v > 0 && std::log(1 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
    }
  }

  std::array<uint32_t, 4> counter_, words_ = {};
  std::array<uint32_t, 2> key_;
  int next_ = 4;
};

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_DRAWS_H_
