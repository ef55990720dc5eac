#include "lab/vision/data/affine.h"

#include <charconv>
#include <cmath>
#include <cstring>
#include <numbers>

#include "lab/vision/data/pixel_kernels.h"

namespace seednorm::lab {
namespace {

// Python's round(x, 15): by way of the decimal digits.
double round15(double x) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, x, std::chars_format::fixed, 15).ptr;
  std::from_chars(digits, end, x);
  return x;
}

}  // namespace

Image transform(const Image& image, const std::array<double, 6>& a, const Color& fill) {
  Image out(image.width(), image.height());
  for (int y = 0; y < out.height(); ++y) {
    uint8_t* row = out.row(y);
    for (int x = 0; x < out.width(); ++x) std::memcpy(row + size_t(x) * 3, fill.data(), 3);
    const double at = y + 0.5;
    interpolate_row(image, {a[0], a[1] * at, a[2], a[3], a[4] * at, a[5]}, out.width(), row);
  }
  return out;
}

Image rotate(const Image& image, double degrees, const Color& fill) {
  // Python's remainder has the divisor's sign.
  double turn = std::fmod(degrees, 360);
  if (turn < 0) turn += 360;
  if (turn == 0) return image;
  const double angle = -turn * (std::numbers::pi / 180);
  const double cos = round15(std::cos(angle)), sin = round15(std::sin(angle)),
               minus_sin = round15(-std::sin(angle));
  const double x = image.width() / 2.0, y = image.height() / 2.0;
  return transform(
      image,
      {cos, sin, (cos * -x + sin * -y + 0.0) + x, minus_sin, cos, (minus_sin * -x + cos * -y + 0.0) + y},
      fill);
}

Image shear_x(const Image& image, double factor, const Color& fill) {
  return transform(image, {1, factor, 0, 0, 1, 0}, fill);
}
Image shear_y(const Image& image, double factor, const Color& fill) {
  return transform(image, {1, 0, 0, factor, 1, 0}, fill);
}
Image translate_x(const Image& image, double part, const Color& fill) {
  return transform(image, {1, 0, part * image.width(), 0, 1, 0}, fill);
}
Image translate_y(const Image& image, double part, const Color& fill) {
  return transform(image, {1, 0, 0, 0, 1, part * image.height()}, fill);
}

}  // namespace seednorm::lab
