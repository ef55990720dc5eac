// The Inception network of 2015 (arXiv 1512.00567) that FID is defined by.
#ifndef SEEDNORM_LAB_VISION_EVAL_INCEPTION_H_
#define SEEDNORM_LAB_VISION_EVAL_INCEPTION_H_

#include <filesystem>
#include <memory>

#include "lab/vision/eval/feature_net.h"

namespace seednorm::lab {

// Weights under the names of torchvision's inception_v3, as pytorch-fid's
// pt_inception-2015-12-05-6726825d.pth has them, in a .safetensors file. Unlike torchvision's network it has
// 1,008 outputs, pools averages without the border, and the maximum in its last block. Features are the 2,048
// means before the outputs. A picture is scaled to 299 pixels as TensorFlow 1 does (source = i in / out, no
// antialiasing) and its bytes x become (x - 128) / 128, as in the evaluation of ADM and DiT. Nothing in the
// file says which pictures the weights have learned from: the name "fid" is right for those of 2015 only.
// Errors (UserError): a tensor that is missing or has another shape, as in torchvision's own weights.
std::unique_ptr<FeatureNet> load_inception(const std::filesystem::path& file);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_EVAL_INCEPTION_H_
