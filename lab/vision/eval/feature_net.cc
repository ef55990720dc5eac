#include "lab/vision/eval/feature_net.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "lab/base/error.h"
#include "lab/base/interrupt.h"
#include "lab/base/parallel.h"
#include "lab/vision/data/augment.h"
#include "lab/vision/eval/inception.h"
#include "lab/vision/interop/image_model_dir.h"

namespace seednorm::lab {
namespace {

namespace fs = std::filesystem;
using at::Tensor;

class ClassifierNet : public FeatureNet {
 public:
  ClassifierNet(const fs::path& folder, bool average)
      : file_(read_image_model_file(folder)),
        model_(load_image_model(folder, average ? "average.safetensors" : kImageWeightsFile)),
        augment_(augment_of(file_)) {}

  std::string metric() const override { return std::string("frechet_") + name_of(file_.config.family); }
  std::string input() const override { return "as the classifier is evaluated"; }
  int64_t size() const override { return file_.config.image_size; }
  int64_t num_features() const override { return model_->num_features(); }
  void prepare(const ImageSet& set, int64_t index, std::span<float> out) const override {
    augment_.numbers(set, index, {.seed = 0, .step = 0, .row = 0}, out);
  }
  Tensor features(const Tensor& pixels) override { return model_->features(pixels); }

 private:
  static AugmentOptions augment_of(const ImageModelFile& file) {
    AugmentOptions out =
        AugmentOptions::evaluation(static_cast<int>(file.config.image_size), file.preprocessing.crop_part);
    out.normalization = file.preprocessing.normalization;
    return out;
  }

  ImageModelFile file_;
  std::shared_ptr<ImageModel> model_;
  Augment augment_;
};

}  // namespace

std::unique_ptr<FeatureNet> open_feature_net(const fs::path& path, bool average) {
  if (path.extension() == ".safetensors") return load_inception(path);
  if (!fs::exists(path / "config.json")) {
    throw UserError(path.string() +
                    ": expected the model directory of a classifier, or a .safetensors file of the Inception "
                    "network");
  }
  return std::make_unique<ClassifierNet>(path, average);
}

FeatureMoments moments_of(FeatureNet& net, const ImageSet& set, int64_t rows,
                          const std::function<void(int64_t)>& on_done) {
  const at::NoGradGuard no_grad;
  FeatureMoments out(net.num_features());
  const int64_t size = net.size(), each = size * size * 3;
  for (int64_t first = 0; first < set.size(); first += rows) {
    check_interrupt();
    const int64_t count = std::min(rows, set.size() - first);
    const Tensor pixels = at::empty({count, size, size, 3}, at::kFloat);
    float* data = pixels.data_ptr<float>();
    parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        net.prepare(set, first + i, {data + i * each, static_cast<size_t>(each)});
      }
    });
    const Tensor features = net.features(pixels).contiguous();
    out.add({features.const_data_ptr<float>(), static_cast<size_t>(features.numel())});
    if (on_done) on_done(first + count);
  }
  return out;
}

}  // namespace seednorm::lab
