// Tensors as pictures to look at.
#ifndef SEEDNORM_LAB_VISION_PICTURES_PICTURE_GRID_H_
#define SEEDNORM_LAB_VISION_PICTURES_PICTURE_GRID_H_

#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/vision/data/image.h"
#include "lab/vision/data/loader.h"
#include "lab/vision/data/transforms.h"

namespace seednorm::lab {

// Normalized pixels x [N, H, W, 3] as bytes [N, H, W, 3]: 255 (x std + mean), rounded, beyond 0 and 255
// clamped.
at::Tensor bytes_of(const at::Tensor& pixels, const Normalization& normalization);
// bytes [N, H, W, 3] uint8 as N pictures.
std::vector<Image> images_of(const at::Tensor& bytes);
// A member of a line of metrics.jsonl's "samples", which the report shows: the pictures side by side.
nlohmann::ordered_json sample_of(const std::string& title, const std::vector<Image>& images, int columns);

// The first rows of the first batch of training as a PNG, about a million pixels of them. Errors (UserError):
// see ImageLoader.
std::string first_batch_png(const ImageSet& set, LoaderOptions options);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_PICTURES_PICTURE_GRID_H_
