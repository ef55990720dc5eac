#include "lab/vision/data/rand_augment.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "lab/vision/data/color_ops.h"

namespace seednorm::lab {
namespace {

struct Op {
  const char* name;
  bool has_direction;
  // f: magnitude / 10, with the sign of the direction where there is one
  void (*apply)(Image& image, double f, const Color& fill);
};

double enhancement(double f) { return std::max(0.1, 1.0 + f * 0.9); }

constexpr Op kOps[] = {
    {"AutoContrast", false, [](Image& i, double, const Color&) { auto_contrast(i); }},
    {"Equalize", false, [](Image& i, double, const Color&) { equalize(i); }},
    {"Invert", false, [](Image& i, double, const Color&) { invert(i); }},
    {"Rotate", true, [](Image& i, double f, const Color& fill) { i = rotate(i, f * 30, fill); }},
    {"PosterizeIncreasing", false,
     [](Image& i, double f, const Color&) { posterize(i, 4 - static_cast<int>(f * 4)); }},
    {"SolarizeIncreasing", false,
     [](Image& i, double f, const Color&) { solarize(i, 256 - std::min(256, static_cast<int>(f * 256))); }},
    {"SolarizeAdd", false,
     [](Image& i, double f, const Color&) { solarize_add(i, std::min(128, static_cast<int>(f * 110))); }},
    {"ColorIncreasing", true, [](Image& i, double f, const Color&) { adjust_color(i, enhancement(f)); }},
    {"ContrastIncreasing", true,
     [](Image& i, double f, const Color&) { adjust_contrast(i, enhancement(f)); }},
    {"BrightnessIncreasing", true,
     [](Image& i, double f, const Color&) { adjust_brightness(i, enhancement(f)); }},
    {"SharpnessIncreasing", true,
     [](Image& i, double f, const Color&) { adjust_sharpness(i, enhancement(f)); }},
    {"ShearX", true, [](Image& i, double f, const Color& fill) { i = shear_x(i, f * 0.3, fill); }},
    {"ShearY", true, [](Image& i, double f, const Color& fill) { i = shear_y(i, f * 0.3, fill); }},
    {"TranslateXRel", true,
     [](Image& i, double f, const Color& fill) { i = translate_x(i, f * 0.45, fill); }},
    {"TranslateYRel", true,
     [](Image& i, double f, const Color& fill) { i = translate_y(i, f * 0.45, fill); }},
};
constexpr int kNumOps = std::size(kOps);

}  // namespace

std::span<const char* const> rand_augment_ops() {
  static const std::vector<const char*> names = [] {
    std::vector<const char*> out;
    for (const Op& op : kOps) out.push_back(op.name);
    return out;
  }();
  return names;
}

void apply_op(Image& image, int op, double magnitude, bool negative, const Color& fill) {
  const double f = magnitude / 10;
  kOps[op].apply(image, kOps[op].has_direction && negative ? -f : f, fill);
}

void rand_augment(Image& image, const RandAugmentOptions& options, Draws& draws) {
  std::vector<int> ops(options.num_ops);
  for (int& op : ops) op = draws.below(kNumOps);
  for (const int op : ops) {
    if (options.probability < 1 && draws.uniform() > options.probability) continue;
    double magnitude = options.magnitude;
    if (options.magnitude_std > 0) magnitude += options.magnitude_std * draws.normal();
    magnitude = std::clamp(magnitude, 0.0, options.max_magnitude);
    const bool negative = kOps[op].has_direction && draws.uniform() > 0.5;
    apply_op(image, op, magnitude, negative, options.fill);
  }
}

RandAugmentOptions RandAugmentOptions::parse(std::string_view text) {
  RandAugmentOptions options;
  if (text.empty()) return options;
  const auto fail = [&](const std::string& what) -> void {
    throw UserError("rand_augment: " + what + " in " + quote(text) + "; expected as in rand-m9-mstd0.5-inc1");
  };
  options.num_ops = 2;
  options.magnitude = 10;
  options.magnitude_std = 0;
  double increasing = 0, num_ops = 2;
  bool is_first = true;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view part = rest.substr(0, rest.find('-'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (std::exchange(is_first, false)) {
      if (part != "rand") fail("no \"rand\" at the begin");
      continue;
    }
    const size_t at = std::min(part.size(), part.find_first_of("0123456789."));
    const std::string_view key = part.substr(0, at), digits = part.substr(at);
    double value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() || !(value <= 100)) {
      fail(quote(part) + " has no number from 0 to 100");
    } else if (key == "m") {
      options.magnitude = value;
    } else if (key == "n") {
      num_ops = value;
    } else if (key == "p") {
      options.probability = value;
    } else if (key == "mstd") {
      options.magnitude_std = value;
    } else if (key == "mmax") {
      options.max_magnitude = value;
    } else if (key == "inc") {
      increasing = value;
    } else {
      fail(quote(part) + " is not known");
    }
  }
  if (num_ops < 1 || num_ops != static_cast<int>(num_ops)) fail("n is no count from 1");
  if (options.probability > 1) fail("p is above 1");
  // Beyond 10 the operations' arguments leave the ranges that they were made for.
  if (options.max_magnitude > 10) fail("mmax is above 10");
  if (increasing != 1) fail("inc1 is missing");
  options.num_ops = static_cast<int>(num_ops);
  return options;
}

}  // namespace seednorm::lab
