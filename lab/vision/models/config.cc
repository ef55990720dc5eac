#include "lab/vision/models/config.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <stdexcept>

#include "lab/base/error.h"
#include "lab/base/split_list.h"
#include "lab/vision/models/config_checks.h"

namespace seednorm::lab {
namespace {

using namespace checks;

constexpr int64_t kConvNextHidden = 4;  // of a block, times its width
constexpr int64_t kConvNextKernel = 7;

void check_vit(const ImageModelConfig& c) {
  require({{"dim", c.dim, 1, kMaxDim},
           {"num_layers", c.num_layers, 1, kMaxLayers},
           {"num_heads", c.num_heads, 1, kMaxDim},
           {"ffn_dim", c.ffn_dim, 1, kMaxDim}});
  require_heads("num_heads", c.num_heads, c.dim);
  require(c.image_size % c.patch_size == 0, "patch_size",
          "a divisor of image_size = " + std::to_string(c.image_size), c.patch_size);
}

void check_convnext(const ImageModelConfig& c) {
  require(!c.stage_dims.empty() && c.stage_layers.size() == c.stage_dims.size(), "stage_layers, stage_dims",
          "as many stages in both", list_text(c.stage_layers) + " and " + list_text(c.stage_dims));
  int64_t side = c.image_size / c.patch_size;
  require(c.image_size % c.patch_size == 0, "patch_size",
          "a divisor of image_size = " + std::to_string(c.image_size), c.patch_size);
  for (size_t s = 0; s < c.stage_dims.size(); ++s) {
    require(
        {{"stage_dims", c.stage_dims[s], 1, kMaxDim}, {"stage_layers", c.stage_layers[s], 1, kMaxLayers}});
    if (s == 0) continue;
    require(side % 2 == 0, "stage_dims",
            "sides that can be halved before each stage but the first, of " +
                std::to_string(c.image_size / c.patch_size) + " positions",
            std::to_string(c.stage_dims.size()) + " stages");
    side /= 2;
  }
  require(c.pool == Pooling::kAverage, "pool", "avg for ConvNeXt, which has no class token", name_of(c.pool));
  require(c.layer_scale >= 0 && c.layer_scale <= 1e6, "layer_scale", "0 to 1e6", c.layer_scale);
}

}  // namespace

const char* name_of(ImageFamily family) {
  constexpr const char* kNames[] = {
#define SEEDNORM_IMAGE_MODEL(name) #name,
#include "lab/vision/models/image_models.def"
#undef SEEDNORM_IMAGE_MODEL
  };
  return kNames[static_cast<int>(family)];
}

ImageFamily image_family_of(const std::string& name) {
  std::string all;
#define SEEDNORM_IMAGE_MODEL(family)                   \
  if (name == #family) return ImageFamily::k_##family; \
  all += (all.empty() ? "" : ", ") + std::string(#family);
#include "lab/vision/models/image_models.def"
#undef SEEDNORM_IMAGE_MODEL
  throw std::invalid_argument("expected one of " + all + ", got " + quote(name));
}

const char* name_of(Pooling pooling) { return pooling == Pooling::kToken ? "token" : "avg"; }

Pooling pooling_of(const std::string& name) {
  if (name == "avg") return Pooling::kAverage;
  if (name == "token") return Pooling::kToken;
  throw std::invalid_argument("expected avg or token, got " + quote(name));
}

const std::vector<NormSite>& norm_sites(ImageFamily family) {
  static const std::vector<NormSite> kVit = {
      {"block", "norm before attention and before the MLP, as in seed_norm(num_heads=16)"},
      {"head", "norm of the mean over all patches, or of the class token (pool)"}};
  static const std::vector<NormSite> kConvNext = {{"stem", "norm after the first convolution"},
                                                  {"downsample", "norm before each halving of the sides"},
                                                  {"block", "norm after the depthwise convolution"},
                                                  {"head", "norm of the mean over all positions"}};
  return family == ImageFamily::k_vit ? kVit : kConvNext;
}

ImageModelConfig::ImageModelConfig() : norms(norm_sites(ImageFamily::k_vit)) {
  norms.set_all(NormSpec::parse("layer_norm"));
}

void ImageModelConfig::set_family(ImageFamily other) {
  family = other;
  norms.declare(norm_sites(other), NormSpec::parse("layer_norm"));
}

std::string ImageModelConfig::norm_over_batch() const {
  const auto found = std::find_if(norms.begin(), norms.end(),
                                  [](const NormSites::Entry& e) { return e.spec.needs_batch(); });
  return found == norms.end() ? "" : (*found).spec.name;
}

int64_t ImageModelConfig::num_blocks() const {
  if (family == ImageFamily::k_vit) return num_layers;
  return std::accumulate(stage_layers.begin(), stage_layers.end(), int64_t{0});
}

double ImageModelConfig::estimated_params() const {
  const auto number = [](int64_t n) { return static_cast<double>(n); };
  const double window = 3 * number(patch_size) * number(patch_size);
  if (family == ImageFamily::k_vit) {
    const double width = number(dim), side = number(image_size / patch_size);
    return window * width + (side * side + 1) * width + width * number(num_classes) +
           number(num_layers) * (4 * width * width + 2 * width * number(ffn_dim));
  }
  double total = window * number(stage_dims[0]) + number(stage_dims.back()) * number(num_classes);
  for (size_t s = 0; s < stage_dims.size(); ++s) {
    const double width = number(stage_dims[s]);
    if (s > 0) total += 4 * number(stage_dims[s - 1]) * width;
    total += number(stage_layers[s]) * width *
             (number(kConvNextKernel * kConvNextKernel) + 2 * number(kConvNextHidden) * width);
  }
  return total;
}

void ImageModelConfig::check() const {
  require({{"image_size", image_size, 1, kMaxSide},
           {"patch_size", patch_size, 1, kMaxSide},
           {"num_classes", num_classes, 0, kMaxClasses}});
  if (family == ImageFamily::k_vit) {
    check_vit(*this);
  } else {
    check_convnext(*this);
  }
  require(drop_path >= 0 && drop_path < 1, "drop_path", "a number from 0 to below 1", drop_path);
  require(norm_eps > 0 && norm_eps <= 1, "norm_eps", "more than 0, at most 1", norm_eps);
  require(init_std >= 0 && init_std <= 1e6, "init_std", "0 to 1e6", init_std);
  require(estimated_params() <= kMaxParams, "dim, num_layers, ffn_dim, stage_dims",
          "a model of at most 1e13 parameters", estimated_params());
  for (const NormPlace& place : norm_places(*this)) {
    const NormSpec& spec = norms[place.site];
    try {
      if (family == ImageFamily::k_convnext && spec.needs_batch()) continue;
      const seednorm::Norm layer = spec.layer(place.width);
      if (layer.info().needs_condition()) {
        throw std::invalid_argument("[" + spec.name +
                                    "] norm: needs a condition for each sample, which classifiers lack");
      }
    } catch (const std::invalid_argument& e) {
      throw std::invalid_argument("norm." + place.site + ": " + place.layer + ", of width " +
                                  std::to_string(place.width) + ": " + e.what());
    }
  }
}

std::vector<NormPlace> norm_places(const ImageModelConfig& c) {
  std::vector<NormPlace> out;
  if (c.family == ImageFamily::k_vit) {
    for (int64_t i = 0; i < c.num_layers; ++i) {
      for (const char* name : {"norm1", "norm2"}) {
        out.push_back({"block", "blocks." + std::to_string(i) + "." + name, c.dim});
      }
    }
    out.push_back({"head", c.pool == Pooling::kToken ? "norm" : "fc_norm", c.dim});
    return out;
  }
  out.push_back({"stem", "stem.1", c.stage_dims[0]});
  for (size_t s = 0; s < c.stage_dims.size(); ++s) {
    const std::string stage = "stages." + std::to_string(s);
    if (s > 0) out.push_back({"downsample", stage + ".downsample.0", c.stage_dims[s - 1]});
    for (int64_t b = 0; b < c.stage_layers[s]; ++b) {
      out.push_back({"block", stage + ".blocks." + std::to_string(b) + ".norm", c.stage_dims[s]});
    }
  }
  out.push_back({"head", "head.norm", c.stage_dims.back()});
  return out;
}

std::string list_text(const std::vector<int64_t>& values) {
  std::string out;
  for (const int64_t v : values) out += (out.empty() ? "" : ",") + std::to_string(v);
  return out;
}

std::vector<int64_t> parse_numbers(std::string_view text) {
  std::vector<int64_t> out;
  for (const std::string& word : split_list(std::string(text))) {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) {
      throw std::invalid_argument("expected whole numbers separated by commas, got " + quote(text));
    }
    out.push_back(value);
  }
  return out;
}

}  // namespace seednorm::lab
