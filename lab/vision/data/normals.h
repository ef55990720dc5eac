// Normal numbers of a row.
#ifndef SEEDNORM_LAB_VISION_DATA_NORMALS_H_
#define SEEDNORM_LAB_VISION_DATA_NORMALS_H_

#include <span>

#include "lab/vision/data/draws.h"

namespace seednorm::lab {

inline void fill_normal(Draws& draws, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += 2) {
    const auto [a, b] = draws.normals();
    out[i] = static_cast<float>(a);
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(b);
  }
}

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_DATA_NORMALS_H_
