// What a classifier of pictures looks like. Without libtorch.
#ifndef SEEDNORM_LAB_VISION_MODELS_CONFIG_H_
#define SEEDNORM_LAB_VISION_MODELS_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "lab/nn/norm_sites.h"

namespace seednorm::lab {

enum class ImageFamily {
#define SEEDNORM_IMAGE_MODEL(name) k_##name,
#include "lab/vision/models/image_models.def"
#undef SEEDNORM_IMAGE_MODEL
};
const char* name_of(ImageFamily family);
// Errors (std::invalid_argument): not a name of the list.
ImageFamily image_family_of(const std::string& name);
const std::vector<NormSite>& norm_sites(ImageFamily family);

// What a ViT classifies from: the mean over the patches, then a norm, or the class token of the last norm.
enum class Pooling { kAverage, kToken };
const char* name_of(Pooling pooling);  // "avg", "token", as timm has them
// Errors (std::invalid_argument): another name.
Pooling pooling_of(const std::string& name);

struct ImageModelConfig {
  ImageModelConfig();

  ImageFamily family = ImageFamily::k_vit;
  int64_t image_size = 224;  // height and width of a picture
  int64_t num_classes = 0;   // 0: those of the data
  int64_t patch_size = 16;   // pixels from one window of the first layer to the next, and its side

  // ViT.
  int64_t dim = 768, num_layers = 12, num_heads = 12, ffn_dim = 3072;
  Pooling pool = Pooling::kAverage;

  // ConvNeXt: blocks and width of each stage.
  std::vector<int64_t> stage_layers = {3, 3, 27, 3}, stage_dims = {128, 256, 512, 1024};
  double layer_scale = 1e-6;  // at first

  double drop_path = 0;  // of the last block; rates rise from 0 at the first one
  double norm_eps = 1e-6;
  double init_std = 0.02;
  NormSites norms;  // LayerNorm at first

  // The sites of another family; those that both have keep their norms.
  void set_family(ImageFamily other);
  // The first norm that takes statistics from the batch, or nothing.
  std::string norm_over_batch() const;
  // Blocks of all stages, of ViT its layers.
  int64_t num_blocks() const;
  // About how many parameters the model has, without building it.
  double estimated_params() const;
  // Errors (std::invalid_argument): sizes that nothing can be built from, heads of a norm that do not divide
  // the width where it stands; the message begins with the setting's name.
  void check() const;
};

// Where the norms of the model stand: the layer's name in state dictionaries, and its width.
struct NormPlace {
  std::string site, layer;
  int64_t width;
};
std::vector<NormPlace> norm_places(const ImageModelConfig& config);

// "3,3,27,3" and back. Errors (std::invalid_argument): not whole numbers.
std::string list_text(const std::vector<int64_t>& values);
std::vector<int64_t> parse_numbers(std::string_view text);

}  // namespace seednorm::lab

#endif  // SEEDNORM_LAB_VISION_MODELS_CONFIG_H_
