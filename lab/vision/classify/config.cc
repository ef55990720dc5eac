#include "lab/vision/classify/config.h"

#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using checks::require;

Setting numbers(std::string name, std::string help, std::vector<int64_t>& values) {
  return {std::move(name), std::move(help),
          [&values](std::string_view text) { values = parse_numbers(text); },
          [&values] { return list_text(values); }};
}

}  // namespace

std::unique_ptr<WorkloadConfig> classify_config() { return std::make_unique<ClassifyConfig>(); }

Settings ClassifyConfig::settings() {
  ImageModelConfig& m = model;
  Settings out = {
      {"family", "family of models: vit or convnext",
       [&m](std::string_view value) { m.set_family(image_family_of(std::string(value))); },
       [&m] { return std::string(name_of(m.family)); }},
      {"image_size", "height and width of a picture", m.image_size, Scope::kMeasurement},
      {"num_classes", "classes; 0: those of the data", m.num_classes, Scope::kMeasurement},
      {"patch_size", "side of the patches, or of ConvNeXt's first windows", m.patch_size},
      {"dim", "ViT: width", m.dim},
      {"num_layers", "ViT: layers", m.num_layers},
      {"num_heads", "ViT: heads of attention", m.num_heads},
      {"ffn_dim", "ViT: hidden width of the MLP", m.ffn_dim},
      {"pool", "ViT: what the head sees: avg (the mean over the patches) or token (the class token)",
       [&m](std::string_view value) { m.pool = pooling_of(std::string(value)); },
       [&m] { return std::string(name_of(m.pool)); }},
      numbers("stage_layers", "ConvNeXt: blocks of each stage", m.stage_layers),
      numbers("stage_dims", "ConvNeXt: width of each stage", m.stage_dims),
      {"layer_scale", "ConvNeXt: initial factor of each block", m.layer_scale},
      {"drop_path", "probability that the last block is left out for a picture; rises from 0", m.drop_path},
      {"norm_eps", "eps of every norm that has one", m.norm_eps},
      {"init_std", "standard deviation of the initial matrices", m.init_std},
  };
  for (auto& [site, spec] : m.norms) out.emplace_back("norm." + site.name, site.help, spec);
  for (Setting& s : picture_settings(pictures)) out.push_back(std::move(s));
  const Settings rest = {
      {"padded_crop", "crops of the picture with a black border, in place of resized ones", padded_crop},
      {"crop_padding", "pixels of that border", crop_padding},
      {"min_area", "smallest part of a picture that a resized crop takes", min_area},
      {"rand_augment", "RandAugment, as rand-m9-mstd0.5-inc1; empty: none", rand_augment},
      {"erase", "probability of random erasing", erase},
      {"mixup", "alpha of mixup; 0: none", mixup},
      {"cutmix", "alpha of CutMix; 0: none", cutmix},
      {"label_smoothing", "share of a label that all classes get", label_smoothing},
      {"crop_part", "part of a picture's short side that is measured on", crop_part, Scope::kMeasurement},
      {"normalization", "of pixels: imagenet, cifar or symmetric",
       [this](std::string_view value) {
         named_normalization(std::string(value));
         normalization = value;
       },
       [this] { return normalization; }},
      {"init_from",
       "ViT: model directory of a masked autoencoder, with whose encoder training begins; empty: none",
       init_from},
      {"layer_decay", "factor on the learning rate for each layer further from the head", layer_decay},
  };
  out.insert(out.end(), rest.begin(), rest.end());
  for (Setting& s : average_settings(average)) out.push_back(std::move(s));
  return out;
}

void ClassifyConfig::check() const {
  pictures.check();
  require(crop_padding >= 0 && crop_padding <= 4096, "crop_padding", "0 to 4096", crop_padding);
  require(min_area > 0 && min_area <= 1, "min_area", "more than 0, at most 1", min_area);
  require(erase >= 0 && erase <= 1, "erase", "a probability from 0 to 1", erase);
  require(mixup >= 0 && mixup <= 1e6, "mixup", "0 to 1e6", mixup);
  require(cutmix >= 0 && cutmix <= 1e6, "cutmix", "0 to 1e6", cutmix);
  require(label_smoothing >= 0 && label_smoothing < 1, "label_smoothing", "a number from 0 to below 1",
          label_smoothing);
  require(crop_part >= 0.25 && crop_part <= 1, "crop_part", "0.25 to 1", crop_part);
  if (!init_from.empty() && model.family != ImageFamily::k_vit) {
    throw std::invalid_argument("init_from: a masked autoencoder's encoder is a ViT; expected family=vit");
  }
  require(layer_decay > 0 && layer_decay <= 1, "layer_decay", "more than 0, at most 1", layer_decay);
  average.check();
  ImageModelConfig complete = model;
  if (complete.num_classes == 0) complete.num_classes = 1;  // come with the data
  complete.check();
  training_augment();
}

AugmentOptions ClassifyConfig::training_augment() const {
  AugmentOptions out;
  out.size = static_cast<int>(model.image_size);
  out.crop = padded_crop ? Crop::kPadded : Crop::kRandomResized;
  out.padding = static_cast<int>(crop_padding);
  out.area.low = min_area;
  out.flip = pictures.flip;
  out.rand_augment = RandAugmentOptions::parse(rand_augment);
  out.erase.probability = erase;
  out.normalization = named_normalization(normalization);
  return out;
}

AugmentOptions ClassifyConfig::evaluation_augment() const {
  AugmentOptions out = AugmentOptions::evaluation(static_cast<int>(model.image_size), crop_part);
  out.normalization = named_normalization(normalization);
  return out;
}

}  // namespace seednorm::lab
