// Networks that give a picture the numbers by which sets of pictures are compared.
#ifndef SEEDNORM_LAB_VISION_EVAL_FEATURE_NET_H_
#define SEEDNORM_LAB_VISION_EVAL_FEATURE_NET_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "lab/vision/data/image_set.h"
#include "lab/vision/eval/frechet.h"

namespace seednorm::lab {

class FeatureNet {
 public:
  virtual ~FeatureNet() = default;
  // The name of the Frechet distance of its features: "fid" with the Inception network of 2015 only.
  virtual std::string metric() const = 0;
  // How a picture becomes the network's input, for results to say.
  virtual std::string input() const = 0;
  virtual int64_t size() const = 0;  // the side of that input
  virtual int64_t num_features() const = 0;
  // A picture of the set -> [size, size, 3]. Safe from any number of threads. Errors (DamagedImage).
  virtual void prepare(const ImageSet& set, int64_t index, std::span<float> out) const = 0;
  // pixels [N, size, size, 3] -> [N, num_features] float32.
  virtual at::Tensor features(const at::Tensor& pixels) = 0;
};

// A classifier's model directory, whose features are what its last layer sees ("frechet_vit",
// "frechet_convnext"), or a .safetensors file as load_inception reads. `average`: the averaged weights of a
// checkpoint. Errors (UserError): neither.
std::unique_ptr<FeatureNet> open_feature_net(const std::filesystem::path& path, bool average = false);

// Of every picture of the set, `rows` at once, which changes only memory and speed. Errors (UserError): a
// damaged picture; features that are not finite. (Interrupted): the user stopped the program.
FeatureMoments moments_of(FeatureNet& net, const ImageSet& set, int64_t rows,
                          const std::function<void(int64_t done)>& on_done = {});

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_FEATURE_NET_H_
