#include "lab/vision/models/image_model.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "lab/nn/norm_layer.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

ImageModelConfig vit(int64_t dim, int64_t layers, int64_t heads) {
  ImageModelConfig c;
  c.num_classes = 1000;
  c.dim = dim;
  c.num_layers = layers;
  c.num_heads = heads;
  c.ffn_dim = 4 * dim;
  return c;
}

ImageModelConfig convnext(const std::vector<int64_t>& layers, const std::vector<int64_t>& dims) {
  ImageModelConfig c;
  c.set_family(ImageFamily::k_convnext);
  c.num_classes = 1000;
  c.patch_size = 4;
  c.stage_layers = layers;
  c.stage_dims = dims;
  return c;
}

// Widths, sides and numbers of tokens all differ.
ImageModelConfig small(ImageFamily family, const std::string& norm) {
  ImageModelConfig c = family == ImageFamily::k_vit ? vit(24, 3, 3) : convnext({1, 2}, {8, 24});
  c.image_size = 12;
  c.patch_size = family == ImageFamily::k_vit ? 4 : 2;
  c.num_classes = 5;
  c.norms.set_all(NormSpec::parse(norm));
  return c;
}
constexpr ImageFamily kFamilies[] = {ImageFamily::k_vit, ImageFamily::k_convnext};

int64_t count(const ImageModel& model) {
  int64_t total = 0;
  for (const ParamInfo& p : model.params()) total += p.tensor.numel();
  return total;
}

Tensor pictures(int64_t rows, int64_t side) {
  return at::randn({rows, side, side, 3}, at::detail::createCPUGenerator(1), at::kFloat);
}

struct Expected {
  const char* name;
  ImageModelConfig config;
  int64_t layer_norm, seed_norm, dyt;
  size_t norms;
};

// LayerNorm's numbers are timm's; SeeDNorm has three parameters a channel in place of two, DyT two and a
// number.
TEST(ImageModels, HaveAsManyParametersAsThePapers) {
  const std::vector<Expected> all = {
      {"ViT-B/16", vit(768, 12, 12), 86567656, 86586856, 86567681, 25},
      {"ViT-L/16", vit(1024, 24, 16), 304326632, 304376808, 304326681, 49},
      {"ConvNeXt-T", convnext({3, 3, 9, 3}, {96, 192, 384, 768}), 28589128, 0, 0, 23},
      {"ConvNeXt-B", convnext({3, 3, 27, 3}, {128, 256, 512, 1024}), 88591464, 88611560, 88591505, 41},
      {"ConvNeXt-L", convnext({3, 3, 27, 3}, {192, 384, 768, 1536}), 197767336, 197797480, 197767377, 41}};
  for (const Expected& e : all) {
    const std::pair<const char*, int64_t> columns[] = {
        {"layer_norm", e.layer_norm}, {"seed_norm(num_heads=16)", e.seed_norm}, {"dyt", e.dyt}};
    for (const auto& [norm, params] : columns) {
      if (params == 0) continue;
      ImageModelConfig config = e.config;
      config.norms.set_all(NormSpec::parse(norm));
      const auto model = make_image_model(config);
      EXPECT_EQ(count(*model), params) << e.name << " " << norm;
      EXPECT_EQ(model->norms().size(), e.norms) << e.name;
      EXPECT_EQ(norm_places(config).size(), e.norms) << e.name;
      // Biases and norms are what the estimate leaves out.
      EXPECT_NEAR(config.estimated_params() / static_cast<double>(params), 1, 0.01) << e.name;
    }
  }
}

TEST(ImageModels, PlacesOfNormsAreWhereTheyStand) {
  for (const ImageFamily family : kFamilies) {
    const auto model = make_image_model(small(family, "seed_norm(num_heads=4)"));
    std::vector<std::string> expected, found;
    for (const NormPlace& p : norm_places(model->config())) {
      expected.push_back(p.layer + " " + std::to_string(p.width));
    }
    for (const auto& [name, norm] : model->norms()) {
      found.push_back(name + " " + std::to_string(norm->layer().dim()));
    }
    std::sort(expected.begin(), expected.end());
    std::sort(found.begin(), found.end());
    EXPECT_EQ(expected, found) << name_of(family);
  }
}

TEST(ImageModels, NormsThatCannotStandSomewhereAreRefused) {
  const auto message = [](ImageModelConfig c, const char* site, const char* norm) -> std::string {
    c.norms[site] = NormSpec::parse(norm);
    try {
      make_image_model(c);
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  const ImageModelConfig c = convnext({1, 2}, {8, 24});
  // 16 divides neither; 3 divides the second stage's width alone.
  EXPECT_TRUE(message(c, "block", "seed_norm(num_heads=3)")
                  .starts_with("norm.block: stages.0.blocks.0.norm, of width 8: "));
  EXPECT_TRUE(message(c, "downsample", "seed_norm(num_heads=3)")
                  .starts_with("norm.downsample: stages.1.downsample.0, of width 8: "));
  EXPECT_TRUE(
      message(c, "head", "seed_norm(num_heads=16)").starts_with("norm.head: head.norm, of width 24: "));
  EXPECT_EQ(message(c, "head", "seed_norm(num_heads=3)"), "");
  EXPECT_TRUE(message(c, "stem", "ada_seed_norm").starts_with("norm.stem: stem.1, of width 8: "));
  EXPECT_TRUE(message(vit(24, 2, 3), "head", "seed_norm(num_heads=16)")
                  .starts_with("norm.head: fc_norm, of width 24: "));
}

// BatchNorm has two parameters a channel, as LayerNorm, and statistics that are kept beside them.
TEST(ImageModels, BatchNormStandsInConvNeXtOnly) {
  const auto model = make_image_model(small(ImageFamily::k_convnext, "batch_norm"));
  const auto plain = make_image_model(small(ImageFamily::k_convnext, "layer_norm"));
  EXPECT_EQ(count(*model), count(*plain));
  EXPECT_EQ(model->state().size(), model->params().size() + 2 * plain->norms().size());
  EXPECT_EQ(plain->state().size(), plain->params().size());
  model->initialize(1);
  const at::NoGradGuard no_grad;
  const Tensor x = pictures(4, 12) * 3 + 1, fresh = model->logits(x);
  // In training a picture's logits depend on the others; otherwise on what training has seen.
  const Tensor together = model->logits(x, {.training = true});
  EXPECT_FALSE(at::equal(together.narrow(0, 0, 2), model->logits(x.narrow(0, 0, 2), {.training = true})));
  const Tensor later = model->logits(x);
  EXPECT_FALSE(at::equal(later, fresh));
  EXPECT_TRUE(at::equal(later, model->logits(x)));
  try {
    make_image_model(small(ImageFamily::k_vit, "batch_norm"));
    ADD_FAILURE() << "ViT with BatchNorm";
  } catch (const std::invalid_argument& e) {
    EXPECT_EQ(std::string(e.what()),
              "norm.block: blocks.0.norm1, of width 24: [batch_norm] norm: normalizes a channel over the "
              "pictures of a batch; only ConvNeXt has sites for it");
  }
}

TEST(ImageModels, RowsOfNorms) {
  const auto total = [](const ImageModel& model) {
    double rows = 0;
    for (const auto& [name, norm] : model.norms()) rows += model.norm_rows(name);
    return rows;
  };
  // Two norms in each of three layers of 3 x 3 patches and a class token, and one of the mean.
  EXPECT_EQ(total(*make_image_model(small(ImageFamily::k_vit, "dyt"))), 2 * 3 * 10 + 1);
  // 6 x 6 positions at the stem, in the one block of the first stage and before the second, 3 x 3 in its two.
  EXPECT_EQ(total(*make_image_model(small(ImageFamily::k_convnext, "dyt"))), 36 + 36 + 36 + 2 * 9 + 1);
}

TEST(ImageModels, SitesTakeTheirOwnNorms) {
  ImageModelConfig c = small(ImageFamily::k_convnext, "layer_norm");
  c.norms["downsample"] = NormSpec::parse("rms_norm");
  c.norms["head"] = NormSpec::parse("dyt");
  for (const auto& [name, norm] : make_image_model(c)->norms()) {
    const bool down = name.find("downsample") != std::string::npos, head = name == "head.norm";
    EXPECT_EQ(norm->spec().name, down ? "rms_norm" : head ? "dyt" : "layer_norm") << name;
  }
}

TEST(ImageModels, APicturesLogitsDoNotDependOnTheOthers) {
  for (const ImageFamily family : kFamilies) {
    for (const char* norm : {"layer_norm", "rms_norm", "dyt", "seed_norm(num_heads=4)"}) {
      const auto model = make_image_model(small(family, norm));
      model->initialize(3);
      const at::NoGradGuard no_grad;
      const Tensor x = pictures(4, 12), all = model->logits(x);
      ASSERT_EQ(all.sizes(), (std::vector<int64_t>{4, 5}));
      // Products of other shapes may sum in another order.
      EXPECT_TRUE((all[2] - model->logits(x.narrow(0, 2, 1))[0]).abs().max().item<double>() <= 1e-5);
      EXPECT_TRUE(all.isfinite().all().item<bool>());
    }
  }
}

TEST(ImageModels, NormsShareTheOtherWeights) {
  for (const ImageFamily family : kFamilies) {
    const auto a = make_image_model(small(family, "layer_norm")),
               b = make_image_model(small(family, "seed_norm"));
    a->initialize(3);
    b->initialize(3);
    const auto theirs = b->named_parameters();
    for (const ParamInfo& p : a->params()) {
      if (p.role == Role::kMatrix || p.role == Role::kEmbedding) {
        EXPECT_TRUE(at::equal(p.tensor, theirs[p.name])) << p.name;
      }
    }
  }
}

TEST(ImageModels, InitialValuesAreTimms) {
  const auto model = make_image_model(vit(192, 2, 3));
  model->initialize(1);
  const auto p = model->named_parameters();
  EXPECT_NEAR(p["blocks.0.mlp.fc1.weight"].std().item<double>(), 0.02, 4e-4);
  EXPECT_NEAR(p["pos_embed"].std().item<double>(), 0.02, 4e-4);
  EXPECT_TRUE(p["cls_token"].abs().max().item<double>() <= 1e-5);
  EXPECT_EQ(p["blocks.0.attn.qkv.bias"].abs().max().item<double>(), 0);
  const double bound = 1 / std::sqrt(3 * 16 * 16.0);
  for (const char* name : {"patch_embed.proj.weight", "patch_embed.proj.bias"}) {
    const double largest = p[name].abs().max().item<double>();
    EXPECT_TRUE(largest <= bound && largest >= 0.9 * bound) << name;
  }
  const auto other = make_image_model(convnext({1, 1}, {64, 128}));
  other->initialize(1);
  const auto q = other->named_parameters();
  EXPECT_NEAR(q["stages.1.blocks.0.mlp.fc1.weight"].std().item<double>(), 0.02, 4e-4);
  EXPECT_EQ(q["stages.1.blocks.0.gamma"].max().item<float>(), 1e-6f);
}

// Which parameters are decayed is decided by what they are for (paper, Section 3; DyT's and timm's lists).
TEST(ImageModels, RolesOfParameters) {
  for (const ImageFamily family : kFamilies) {
    for (const ParamInfo& p : make_image_model(small(family, "seed_norm"))->params()) {
      const auto ends = [&](const char* end) { return p.name.ends_with(end); };
      Role expected = Role::kMatrix;
      if (p.name == "cls_token" || p.name == "pos_embed") expected = Role::kEmbedding;
      if (ends(".bias") || ends(".gamma") || p.tensor.dim() == 1) expected = Role::kGain;
      if (ends(".alpha") || ends(".beta")) expected = Role::kDynamic;
      EXPECT_EQ(p.role, expected) << p.name;
    }
  }
}

TEST(ImageModels, LayerDecay) {
  const auto scale_of = [](const ImageModel& model, const std::string& name) {
    for (const ParamInfo& p : model.params(0.5)) {
      if (p.name == name) return p.lr_scale;
    }
    return -1.0;
  };
  const auto v = make_image_model(small(ImageFamily::k_vit, "seed_norm"));  // three blocks
  for (const auto& [name, power] :
       std::initializer_list<std::pair<const char*, int>>{{"cls_token", 4},
                                                          {"pos_embed", 4},
                                                          {"patch_embed.proj.bias", 4},
                                                          {"blocks.0.norm1.alpha", 3},
                                                          {"blocks.2.mlp.fc2.weight", 1},
                                                          {"fc_norm.beta", 0},
                                                          {"head.weight", 0}}) {
    EXPECT_EQ(scale_of(*v, name), std::pow(0.5, power)) << name;
  }
  const auto c = make_image_model(small(ImageFamily::k_convnext, "seed_norm"));  // 1 + 2 blocks
  for (const auto& [name, power] :
       std::initializer_list<std::pair<const char*, int>>{{"stem.0.weight", 4},
                                                          {"stages.0.blocks.0.gamma", 3},
                                                          {"stages.1.downsample.1.weight", 2},
                                                          {"stages.1.blocks.0.norm.beta", 2},
                                                          {"stages.1.blocks.1.conv_dw.weight", 1},
                                                          {"head.fc.bias", 0}}) {
    EXPECT_EQ(scale_of(*c, name), std::pow(0.5, power)) << name;
  }
}

// The row kernels of norms take contiguous rows of channels: convolutions must not change the order.
TEST(ImageModels, ConvolutionsKeepChannelsLast) {
  const Tensor x = at::randn({2, 6, 10, 16}), w = at::randn({16, 1, 7, 7});
  EXPECT_TRUE(at::conv2d(x.permute({0, 3, 1, 2}), w, {}, 1, 3, 1, 16).permute({0, 2, 3, 1}).is_contiguous());
}

TEST(ImageModels, DropPathAndDropoutAreOnInTrainingOnly) {
  for (const ImageFamily family : kFamilies) {
    ImageModelConfig c = small(family, "seed_norm(num_heads=4, dropout=0.5)");
    c.drop_path = 0.5;
    c.layer_scale = 1;
    c.init_std = 0.2;
    const auto model = make_image_model(c);
    model->initialize(1);
    const at::NoGradGuard no_grad;
    for (const ParamInfo& p : model->params()) {
      if (p.role == Role::kDynamic) Tensor(p.tensor).fill_(0.5);
    }
    const Tensor x = pictures(6, 12), plain = model->logits(x);
    const Pass pass = {.training = true, .seed = 1, .step = 2, .first_row = 0};
    const Tensor first = model->logits(x, pass);
    EXPECT_FALSE(at::equal(plain, first));
    EXPECT_TRUE(at::equal(first, model->logits(x, pass))) << "the same pass draws the same";
    EXPECT_FALSE(
        at::equal(first, model->logits(x, {.training = true, .seed = 1, .step = 3, .first_row = 0})));
    EXPECT_TRUE(at::equal(plain, model->logits(x)));
  }
}

TEST(ImageModels, ImpossibleSizesAreRefused) {
  const auto message = [](auto change, ImageFamily family) -> std::string {
    ImageModelConfig c = small(family, "layer_norm");
    change(c);
    try {
      c.check();
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return "";
  };
  const auto v = ImageFamily::k_vit, n = ImageFamily::k_convnext;
  EXPECT_TRUE(message([](auto& c) { c.num_heads = 5; }, v).starts_with("num_heads: "));
  EXPECT_TRUE(message([](auto& c) { c.patch_size = 5; }, v).starts_with("patch_size: "));
  EXPECT_TRUE(message([](auto& c) { c.drop_path = 1; }, v).starts_with("drop_path: "));
  EXPECT_TRUE(message([](auto& c) { c.drop_path = std::nan(""); }, v).starts_with("drop_path: "));
  EXPECT_TRUE(message([](auto& c) { c.image_size = 0; }, v).starts_with("image_size: "));
  EXPECT_TRUE(message([](auto& c) { c.stage_dims = {8}; }, n).starts_with("stage_layers, stage_dims: "));
  EXPECT_TRUE(message(
                  [](auto& c) {
                    c.stage_dims = {};
                    c.stage_layers = {};
                  },
                  n)
                  .starts_with("stage_layers, stage_dims: "));
  EXPECT_TRUE(message([](auto& c) { c.image_size = 14; }, n).starts_with("stage_dims: "));
  EXPECT_TRUE(message([](auto& c) { c.stage_layers[1] = 0; }, n).starts_with("stage_layers: "));
}

}  // namespace
}  // namespace seednorm::lab
