#include "lab/vision/data/color_ops.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

namespace seednorm::lab {
namespace {

using Table = std::array<uint8_t, 256>;
using Counts = std::array<int64_t, 256>;

std::array<Counts, 3> count_values(const Image& image) {
  std::array<Counts, 3> counts = {};
  const auto bytes = image.bytes();
  for (size_t i = 0; i < bytes.size(); i += 3) {
    for (int c = 0; c < 3; ++c) ++counts[c][bytes[i + c]];
  }
  return counts;
}

void look_up(Image& image, const std::array<Table, 3>& tables) {
  const auto bytes = image.bytes();
  for (size_t i = 0; i < bytes.size(); i += 3) {
    for (int c = 0; c < 3; ++c) bytes[i + c] = tables[c][bytes[i + c]];
  }
}

template <typename F>
Table table_of(const F& f) {
  Table table;
  for (int i = 0; i < 256; ++i) table[i] = static_cast<uint8_t>(f(i));
  return table;
}

template <typename F>
void map_values(Image& image, const F& f) {
  const Table table = table_of(f);
  for (uint8_t& value : image.bytes()) value = table[value];
}

int identity(int i) { return i; }

Table stretching(const Counts& counts) {
  int low = 0, high = 255;
  while (low < 255 && counts[low] == 0) ++low;
  while (high > 0 && counts[high] == 0) --high;
  if (high <= low) return table_of(identity);
  const double scale = 255.0 / (high - low), offset = -low * scale;
  return table_of([&](int i) { return std::clamp(static_cast<int>(i * scale + offset), 0, 255); });
}

Table equalizing(const Counts& counts) {
  int64_t sum = 0, last = 0, num_used = 0;
  for (const int64_t count : counts) {
    if (count == 0) continue;
    sum += count;
    last = count;
    ++num_used;
  }
  const int64_t step = (sum - last) / 255;
  if (num_used <= 1 || step == 0) return table_of(identity);
  int64_t below = step / 2;
  return table_of([&](int i) {
    const int64_t value = below / step;
    below += counts[i];
    return std::min<int64_t>(value, 255);
  });
}

// The gray value of ITU-R 601-2, as Pillow's convert("L").
int gray(const uint8_t* p) { return (p[0] * 19595 + p[1] * 38470 + p[2] * 7471 + 0x8000) >> 16; }

// base + factor (value - base) in float32, cut off towards zero.
uint8_t blend(int base, int value, float factor) {
  const float sum = static_cast<float>(base) + factor * static_cast<float>(value - base);
  return static_cast<uint8_t>(std::clamp(sum, 0.0f, 255.0f));
}

// The image blended with another of the same size, which becomes the result.
void blend_into(Image& base, const Image& image, float factor) {
  const auto to = base.bytes();
  const auto from = image.bytes();
  for (size_t i = 0; i < to.size(); ++i) to[i] = blend(to[i], from[i], factor);
}

// Pillow's SMOOTH: the middle five times and the eight around it, over 13; the border stays.
Image smoothed(const Image& image) {
  constexpr float kSide = 1.0f / 13.0f, kMiddle = 5.0f / 13.0f;
  Image out = image;
  const auto sum = [](const uint8_t* p, float middle) {
    return static_cast<float>(p[-3]) * kSide + static_cast<float>(p[0]) * middle +
           static_cast<float>(p[3]) * kSide;
  };
  for (int y = 1; y + 1 < image.height(); ++y) {
    const uint8_t *above = image.row(y - 1), *here = image.row(y), *below = image.row(y + 1);
    uint8_t* to = out.row(y);
    for (size_t i = 3; i + 3 < image.row_bytes(); ++i) {
      float total = 0.5f;
      total += sum(below + i, kSide);
      total += sum(here + i, kMiddle);
      total += sum(above + i, kSide);
      to[i] = static_cast<uint8_t>(std::min(total, 255.0f));
    }
  }
  return out;
}

}  // namespace

void auto_contrast(Image& image) {
  const auto counts = count_values(image);
  look_up(image, {stretching(counts[0]), stretching(counts[1]), stretching(counts[2])});
}

void equalize(Image& image) {
  const auto counts = count_values(image);
  look_up(image, {equalizing(counts[0]), equalizing(counts[1]), equalizing(counts[2])});
}

void invert(Image& image) {
  for (uint8_t& value : image.bytes()) value = static_cast<uint8_t>(255 - value);
}

void posterize(Image& image, int bits) {
  const int mask = 0xff << (8 - bits) & 0xff;
  for (uint8_t& value : image.bytes()) value = static_cast<uint8_t>(value & mask);
}

void solarize(Image& image, int threshold) {
  map_values(image, [&](int i) { return i < threshold ? i : 255 - i; });
}

void solarize_add(Image& image, int amount) {
  map_values(image, [&](int i) { return i < 128 ? std::min(255, i + amount) : i; });
}

void adjust_color(Image& image, double factor) {
  const auto bytes = image.bytes();
  const auto f = static_cast<float>(factor);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const int base = gray(&bytes[i]);
    for (int c = 0; c < 3; ++c) bytes[i + c] = blend(base, bytes[i + c], f);
  }
}

void adjust_contrast(Image& image, double factor) {
  const auto bytes = image.bytes();
  int64_t sum = 0;
  for (size_t i = 0; i < bytes.size(); i += 3) sum += gray(&bytes[i]);
  const double num_pixels = static_cast<double>(bytes.size()) / 3;
  const int mean = static_cast<int>(static_cast<double>(sum) / num_pixels + 0.5);
  const auto f = static_cast<float>(factor);
  map_values(image, [&](int i) { return blend(mean, i, f); });
}

void adjust_brightness(Image& image, double factor) {
  const auto f = static_cast<float>(factor);
  map_values(image, [&](int i) { return blend(0, i, f); });
}

void adjust_sharpness(Image& image, double factor) {
  Image base = smoothed(image);
  blend_into(base, image, static_cast<float>(factor));
  image = std::move(base);
}

void flip_horizontally(Image& image) {
  for (int y = 0; y < image.height(); ++y) {
    uint8_t *left = image.row(y), *right = left + image.row_bytes() - 3;
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

}  // namespace seednorm::lab
