#include "lab/vision/pictures/picture_grid.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <cstring>

#include "lab/base/base64.h"
#include "lab/vision/data/encode_png.h"

namespace seednorm::lab {

using at::Tensor;

Tensor bytes_of(const Tensor& pixels, const Normalization& n) {
  const Tensor mean = at::tensor(at::ArrayRef<float>(n.mean)), std = at::tensor(at::ArrayRef<float>(n.std));
  return ((pixels * std + mean) * 255).round().clamp(0, 255).to(at::kByte);
}

std::vector<Image> images_of(const Tensor& bytes) {
  const Tensor rows = bytes.contiguous();
  std::vector<Image> out;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    Image& image = out.emplace_back(static_cast<int>(rows.size(2)), static_cast<int>(rows.size(1)));
    std::memcpy(image.bytes().data(), rows[i].const_data_ptr<uint8_t>(), image.bytes().size());
  }
  return out;
}

nlohmann::ordered_json sample_of(const std::string& title, const std::vector<Image>& images, int columns) {
  return {{"title", title}, {"image", base64(encode_png(make_grid(images, columns)))}};
}

}  // namespace seednorm::lab
