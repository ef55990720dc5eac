#include "lab/vision/pictures/picture_grid.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lab/base/base64.h"
#include "lab/vision/data/encode_png.h"
#include "lab/vision/pictures/picture_data.h"

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

std::string first_batch_png(const ImageSet& set, LoaderOptions options) {
  constexpr int64_t kMaxPixels = 1'000'000, kMaxPictures = 64;
  const int64_t size = options.augment.size;
  // An even number, as mixing needs.
  const int64_t shown = std::clamp<int64_t>(kMaxPixels / (size * size), 2, kMaxPictures) / 2 * 2;
  options.num_rows = std::min(options.batch_size, shown);
  options.rows_at_once = 0;
  options.num_ahead = 1;
  ImageLoader loader(set, options);
  ImageBatch batch = loader.read(0);
  const int64_t rows = batch.rows();
  const Tensor pixels = tensor_of(std::move(batch.pixels), rows, batch.size);
  const auto columns = static_cast<int>(std::ceil(std::sqrt(static_cast<double>(rows))));
  return encode_png(make_grid(images_of(bytes_of(pixels, options.augment.normalization)), columns));
}

}  // namespace seednorm::lab
