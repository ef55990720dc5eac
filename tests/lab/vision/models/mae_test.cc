#include "lab/vision/models/mae.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

namespace seednorm::lab {
namespace {

using at::Tensor;

Tensor random(at::IntArrayRef shape, uint64_t seed) {
  return at::randn(shape, at::detail::createCPUGenerator(seed), at::kFloat);
}

int64_t num_params(const Mae& model) {
  int64_t out = 0;
  for (const ParamInfo& p : model.params()) out += p.tensor.numel();
  return out;
}

MaeConfig small() {
  MaeConfig c;
  c.image_size = 12;
  c.patch_size = 3;
  c.dim = 24;
  c.num_layers = 2;
  c.num_heads = 3;
  c.ffn_dim = 40;
  c.decoder_dim = 16;
  c.decoder_layers = 1;
  c.decoder_heads = 2;
  c.decoder_ffn_dim = 28;
  return c;
}

// The table of the paper's models.
TEST(Mae, ParameterCounts) {
  struct Size {
    int64_t dim, layers, heads, layer_norm, seed_norm, dyt;
  };
  for (const Size& s : {Size{768, 12, 12, 111'655'680, 111'683'584, 111'655'722},
                        Size{1024, 24, 16, 329'239'296, 329'298'176, 329'239'362}}) {
    MaeConfig c;
    c.dim = s.dim;
    c.num_layers = s.layers;
    c.num_heads = s.heads;
    c.ffn_dim = 4 * s.dim;
    for (const auto& [norm, expected] :
         {std::pair{"layer_norm", s.layer_norm}, {"seed_norm(num_heads=16)", s.seed_norm}, {"dyt", s.dyt}}) {
      c.norms.set_all(NormSpec::parse(norm));
      const Mae model(c);
      EXPECT_EQ(num_params(model), expected) << norm;
      EXPECT_EQ(static_cast<int64_t>(model.norms().size()), 2 * s.layers + 18);
    }
    EXPECT_TRUE(std::abs(c.estimated_params() / static_cast<double>(s.layer_norm) - 1) <= 0.01);
  }
}

TEST(Mae, KeepsWhatTheRatioLeaves) {
  MaeConfig c;
  EXPECT_EQ(c.num_kept(), 49);  // of 196
  c.image_size = 64;
  c.mask_ratio = 0.9;
  EXPECT_EQ(c.num_kept(), 1);  // of 16
  c.image_size = 160;
  EXPECT_EQ(c.num_kept(), 10);  // of 100, although 100 (1 - 0.9) is less than 10 in double
  c.image_size = 16;
  EXPECT_THROW(c.check(), std::invalid_argument);
}

TEST(Mae, MasksByNoise) {
  const Tensor noise = at::tensor(std::vector<float>{0.5, 0.1, 0.9, 0.2, 0.3, 0.8, 0.0, 0.7}).view({2, 4});
  const Masking m = mask_by(noise, 2);
  EXPECT_TRUE(at::equal(m.keep, at::tensor(std::vector<int64_t>{1, 3, 2, 0}).view({2, 2})));
  EXPECT_TRUE(at::equal(m.restore, at::tensor(std::vector<int64_t>{2, 0, 3, 1, 1, 3, 0, 2}).view({2, 4})));
  EXPECT_TRUE(at::equal(m.mask, at::tensor(std::vector<float>{1, 0, 1, 0, 0, 1, 0, 1}).view({2, 4})));
}

TEST(Mae, TargetsAreNormalizedPatches) {
  const Tensor pixels = random({2, 6, 6, 3}, 1) * 3 + 1;
  const Tensor plain = mae_targets(pixels, 3, false), targets = mae_targets(pixels, 3, true);
  EXPECT_TRUE(at::equal(unpatched(plain, 3), pixels));
  ASSERT_EQ(targets.sizes(), (std::vector<int64_t>{2, 4, 27}));
  // In the order (row, column, channel): patch 1 of picture 1 begins at row 0, column 3.
  const Tensor patch = pixels[1].narrow(0, 0, 3).narrow(1, 3, 3).flatten().to(at::kDouble);
  const Tensor centred = patch - patch.mean();
  const Tensor expected = centred / (centred.pow(2).sum() / 26 + 1e-6).sqrt();
  EXPECT_TRUE((targets[1][1] - expected).abs().max().item<double>() <= 1e-6);
}

// The mean square of a normalized target is 26/27; what the decoder says at first adds its own.
TEST(Mae, LossIsKnownAtFirst) {
  Mae model(small());
  model.initialize(1);
  const Tensor pixels = random({64, 12, 12, 3}, 1);
  const Masking m = mask_by(at::rand({64, 16}, at::detail::createCPUGenerator(2), at::kFloat), 4);
  const Tensor out = model.forward(pixels, m), targets = mae_targets(pixels, 3, true);
  const double loss = mae_loss(out, targets, m.mask).item<double>();
  const double squares = (out.pow(2).mean(-1) * m.mask).sum().item<double>() / m.mask.sum().item<double>();
  // Prediction and target know nothing of each other: 768 patches of 27 numbers.
  EXPECT_TRUE(std::abs(loss - (26.0 / 27 + squares)) <= 0.1);
  // Only masked patches count.
  EXPECT_TRUE(at::equal(mae_loss(out + 5 * (1 - m.mask).unsqueeze(-1), targets, m.mask),
                        mae_loss(out, targets, m.mask)));
}

void randomize(Mae& model) {
  const at::NoGradGuard no_grad;
  uint64_t seed = 100;
  for (Tensor p : model.parameters()) p.copy_(random(p.sizes(), seed++) * 0.2);
}

TEST(Mae, SeesWhatIsKeptOnly) {
  for (const char* norm : {"layer_norm", "rms_norm", "dyt", "seed_norm(num_heads=4)"}) {
    MaeConfig c = small();
    c.norms.set_all(NormSpec::parse(norm));
    Mae model(c);
    randomize(model);
    const Tensor pixels = random({2, 12, 12, 3}, 1);
    const Masking m = mask_by(at::rand({2, 16}, at::detail::createCPUGenerator(2), at::kFloat), 4);
    const Tensor out = model.forward(pixels, m);
    EXPECT_EQ(out.sizes(), (std::vector<int64_t>{2, 16, 27}));
    const Tensor gradients_of = pixels.clone().requires_grad_(true);
    const Tensor to_pixels =
        torch::autograd::grad({model.forward(gradients_of, m).pow(2).sum()}, {gradients_of})[0];
    const Tensor by_patch = mae_targets(to_pixels, 3, false).abs().amax(-1);
    EXPECT_TRUE(at::equal((by_patch == 0).to(at::kFloat), m.mask)) << norm;
    const auto gradients = torch::autograd::grad({out.pow(2).sum()}, model.parameters());
    for (size_t i = 0; i < gradients.size(); ++i) {
      EXPECT_GT(gradients[i].abs().max().item<float>(), 0) << norm << " " << model.params()[i].name;
    }
  }
}

TEST(Mae, RefusesHeadsOfANormThatDoNotFitTheDecoder) {
  MaeConfig c = small();
  c.norms.set_all(NormSpec::parse("seed_norm(num_heads=3)"));
  try {
    Mae model(c);
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_TRUE(std::string(e.what()).starts_with("norm.decoder: decoder_blocks.0.norm1, of width 16: "))
        << e.what();
  }
}

}  // namespace
}  // namespace seednorm::lab
