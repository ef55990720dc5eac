#include "lab/vision/interop/preprocessing.h"

#include <array>
#include <cmath>

namespace seednorm::lab {
namespace {

// Less would scale pictures to sides that nobody has memory for.
constexpr double kLeastCropPart = 0.01;

void read_channels(const JsonField& field, double least, double most, std::array<float, 3>& out) {
  if (field.is_null()) return;
  if (field.size() != out.size()) field.fail("expected three numbers, one for each channel");
  for (size_t c = 0; c < out.size(); ++c) {
    const double value = field[c].number();
    if (!(value >= least && value <= most)) {
      field[c].fail("expected a number from " + nlohmann::json(least).dump() + " to " +
                    nlohmann::json(most).dump());
    }
    out[c] = static_cast<float>(value);
  }
}

}  // namespace

void read_normalization(const JsonField& mean, const JsonField& std, Normalization& out) {
  read_channels(mean, -1e6, 1e6, out.mean);
  read_channels(std, 1e-6, 1e6, out.std);
}

double crop_part_in(const JsonField& field) {
  const double part = field.number();
  if (!(part >= kLeastCropPart && part <= 1)) field.fail("expected a number from 0.01 to 1");
  return part;
}

double crop_part_of(const JsonField& short_side, int64_t size) {
  const int64_t side =
      short_side.integer(1, static_cast<int64_t>(static_cast<double>(size) / kLeastCropPart));
  if (side <= size) return 1;
  const double part = static_cast<double>(size) / static_cast<double>(side);
  const bool falls_short = std::floor(static_cast<double>(size) / part) < static_cast<double>(side);
  return falls_short ? std::nextafter(part, 0.0) : part;
}

}  // namespace seednorm::lab
