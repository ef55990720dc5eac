// Smoothing of losses.
#ifndef SEEDNORM_LAB_BASE_SMOOTHING_H_
#define SEEDNORM_LAB_BASE_SMOOTHING_H_

#include <cmath>
#include <limits>

namespace seednorm::lab {

// The decay of the exponential moving average with which the paper smooths its curves, used in plots and in
// "train_loss".
inline constexpr double kLossEma = 0.99;

// The average after one more value; NaN stands for no value yet.
inline double smoothed(double average, double value) {
  return std::isnan(average) ? value : kLossEma * average + (1 - kLossEma) * value;
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_BASE_SMOOTHING_H_
