// Division and rounding up, without intermediate overflow.
#ifndef SEEDNORM_CORE_KERNEL_ROUNDING_H_
#define SEEDNORM_CORE_KERNEL_ROUNDING_H_

namespace seednorm {

// a / b rounded up, for a >= 0 and b > 0.
template <class T>
constexpr T divide_up(T a, T b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

// a rounded up to a multiple.
template <class T>
constexpr T round_up(T a, T multiple) {
  return divide_up(a, multiple) * multiple;
}

}  // namespace seednorm

#endif  // SEEDNORM_CORE_KERNEL_ROUNDING_H_
