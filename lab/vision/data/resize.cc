#include "lab/vision/data/resize.h"

#include <algorithm>
#include <cmath>

#include "lab/vision/data/pixel_kernels.h"

namespace seednorm::lab {
namespace {

double support_of(Filter filter) {
  switch (filter) {
    case Filter::kBox:
      return 0.5;
    case Filter::kBilinear:
      return 1;
    case Filter::kBicubic:
      return 2;
  }
  return 0;
}

double value_of(Filter filter, double x) {
  if (filter == Filter::kBox) return x > -0.5 && x <= 0.5 ? 1 : 0;
  x = std::abs(x);
  if (filter == Filter::kBilinear) return x < 1 ? 1 - x : 0;
  constexpr double a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// What each of `out_size` pixels takes of `in_size`; all as Pillow computes it, in double.
Taps make_taps(int in_size, int out_size, Filter filter) {
  const double scale = static_cast<double>(in_size) / out_size, widening = std::max(scale, 1.0);
  const double support = support_of(filter) * widening, per_pixel = 1 / widening;
  Taps taps;
  taps.num = static_cast<int>(std::ceil(support)) * 2 + 1;
  taps.first.resize(out_size);
  taps.count.resize(out_size);
  taps.weights.resize(size_t(out_size) * taps.num);
  std::vector<double> weights(taps.num);
  for (int i = 0; i < out_size; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, static_cast<int>(center - support + 0.5));
    const int count = std::min(in_size, static_cast<int>(center + support + 0.5)) - first;
    double sum = 0;
    for (int k = 0; k < count; ++k)
      sum += weights[k] = value_of(filter, (k + first - center + 0.5) * per_pixel);
    for (int k = 0; k < count; ++k) {
      const double weight = sum != 0 ? weights[k] / sum : weights[k];
      const double rounding = weight < 0 ? -0.5 : 0.5;
      taps.weights[size_t(i) * taps.num + k] = static_cast<int32_t>(rounding + weight * (1 << kTapBits));
    }
    taps.first[i] = first;
    taps.count[i] = count;
  }
  return taps;
}

Image resize_columns(const ImageView& image, int width, Filter filter) {
  Image out(width, image.height);
  resample_columns(image, make_taps(image.width, width, filter), out);
  return out;
}

Image resize_rows(const ImageView& image, int height, Filter filter) {
  Image out(image.width, height);
  resample_rows(image, make_taps(image.height, height, filter), out);
  return out;
}

}  // namespace

Image resize(const ImageView& image, int width, int height, Filter filter) {
  const int lost_columns = image.width - width, lost_rows = image.height - height;
  if (lost_columns == 0 && lost_rows == 0) return copy_of(image);
  if (lost_rows == 0) return resize_columns(image, width, filter);
  if (lost_columns == 0) return resize_rows(image, height, filter);
  if (lost_rows > 0 && lost_rows > 2 * lost_columns) {
    return resize_columns(resize_rows(image, height, filter), width, filter);
  }
  return resize_rows(resize_columns(image, width, filter), height, filter);
}

}  // namespace seednorm::lab
