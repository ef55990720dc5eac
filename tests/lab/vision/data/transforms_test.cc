// What timm_parity_test.py cannot see; that compares with timm itself.
#include "lab/vision/data/transforms.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "lab/vision/data/augment.h"
#include "lab/vision/data/color_ops.h"
#include "lab/vision/data/mix.h"
#include "lab/vision/data/rand_augment.h"
#include "tests/lab/support.h"
#include "tests/lab/vision/data/pictures.h"

namespace seednorm::lab {
namespace {

TEST(Draws, AreFixedForGood) {
  Draws draws(1234567890123, DrawsFor::kAugment, 5000000000, 77);
  EXPECT_EQ(draws.bits(), 1353125663U);
  EXPECT_EQ(draws.bits(), 974591939U);
  EXPECT_EQ(draws.uniform(), 0.96358001973679519);
}

TEST(Draws, DependOnAllOfTheirKey) {
  std::set<uint32_t> seen;
  for (uint64_t seed : {0, 1}) {
    for (const DrawsFor purpose : {DrawsFor::kAugment, DrawsFor::kMix}) {
      for (uint64_t step : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 32}) {
        for (uint64_t row : {0, 1}) seen.insert(Draws(seed, purpose, step, row).bits());
      }
    }
  }
  EXPECT_EQ(seen.size(), 24U);
}

TEST(Draws, HaveTheirDistributions) {
  constexpr int kNum = 40000;
  const auto moments = [&](auto draw) {
    Draws draws(3, DrawsFor::kAugment, 0, 0);
    double sum = 0, squares = 0;
    for (int i = 0; i < kNum; ++i) {
      const double x = draw(draws);
      sum += x;
      squares += x * x;
    }
    return std::pair(sum / kNum, squares / kNum - sum / kNum * (sum / kNum));
  };
  // Five standard deviations of the estimates: sqrt(variance / n), and below 2 variance / sqrt(n).
  const auto expect = [&](std::pair<double, double> got, double mean, double variance) {
    EXPECT_TRUE(std::abs(got.first - mean) <= 5 * std::sqrt(variance / kNum)) << got.first;
    EXPECT_TRUE(std::abs(got.second - variance) <= 10 * variance / std::sqrt(kNum)) << got.second;
  };
  expect(moments([](Draws& d) { return d.uniform(2, 4); }), 3, 1.0 / 3);
  expect(moments([](Draws& d) { return d.below(5); }), 2, 2);
  expect(moments([](Draws& d) { return d.normal(); }), 0, 1);
  expect(moments([](Draws& d) { return d.normals()[1]; }), 0, 1);
  for (const double a : {0.2, 0.8, 1.0, 3.0}) {
    expect(moments([&](Draws& d) { return d.beta(a, a); }), 0.5, 1 / (4 * (2 * a + 1)));
  }
}

TEST(Resize, OfOneColourIsThatColour) {
  Image image(37, 23);
  for (uint8_t& value : image.bytes()) value = 200;
  for (const Filter filter : {Filter::kBox, Filter::kBilinear, Filter::kBicubic}) {
    for (const auto& [width, height] : {std::pair{1, 1}, {37, 5}, {90, 23}, {200, 300}, {36, 22}}) {
      const Image out = resize(image, width, height, filter);
      EXPECT_EQ(text_of(out), std::string(size_t(width) * height * 3, '\xc8')) << width;
    }
  }
}

TEST(Resize, BoxOfTwoIsTheMean) {
  const Image image = made_up(40, 30);
  const Image out = resize(image, 20, 30, Filter::kBox);
  for (int y = 0; y < 30; ++y) {
    for (int i = 0; i < 60; ++i) {
      const uint8_t* from = image.row(y) + i / 3 * 6 + i % 3;
      ASSERT_EQ(out.row(y)[i], (from[0] + from[3] + 1) / 2);
    }
  }
}

TEST(RandomCrop, StaysInside) {
  for (uint64_t row = 0; row < 2000; ++row) {
    Draws draws(1, DrawsFor::kAugment, 0, row);
    const int width = 1 + draws.below(row % 2 == 0 ? 3 : 400), height = 1 + draws.below(400);
    const Rect part = random_crop(width, height, {0.08, 1}, {3.0 / 4, 4.0 / 3}, draws);
    ASSERT_TRUE(part.x >= 0 && part.y >= 0 && part.width >= 1 && part.height >= 1);
    ASSERT_TRUE(part.x + part.width <= width && part.y + part.height <= height);
  }
}

TEST(PaddedCrop, IsAPartOrBlack) {
  const Image image = made_up(32, 32);
  std::set<std::pair<int, int>> seen;
  for (uint64_t row = 0; row < 2000; ++row) {
    Draws draws(1, DrawsFor::kAugment, 0, row), same = draws;
    const int top = same.below(9) - 4, left = same.below(9) - 4;
    seen.emplace(top, left);
    const Image out = padded_crop(image, 32, 4, draws);
    for (int y = 0; y < 32; y += 5) {
      for (int x = 0; x < 32; ++x) {
        const bool is_inside = y + top >= 0 && y + top < 32 && x + left >= 0 && x + left < 32;
        ASSERT_EQ(out.row(y)[x * 3], is_inside ? image.row(y + top)[(x + left) * 3] : 0);
      }
    }
  }
  EXPECT_EQ(seen.size(), 81U);
}

TEST(RandAugment, ReadsTimmsText) {
  const auto options = RandAugmentOptions::parse("rand-m7-mstd0.25-n3-inc1-p0.75");
  EXPECT_EQ(options.num_ops, 3);
  EXPECT_EQ(options.magnitude, 7);
  EXPECT_EQ(options.magnitude_std, 0.25);
  EXPECT_EQ(options.probability, 0.75);
  EXPECT_EQ(RandAugmentOptions::parse("").num_ops, 0);
  const auto error = [](const std::string& text) {
    return user_error([&] { RandAugmentOptions::parse(text); });
  };
  const std::string end = "; expected as in rand-m9-mstd0.5-inc1";
  EXPECT_EQ(error("augmix-m3"), "rand_augment: no \"rand\" at the begin in \"augmix-m3\"" + end);
  EXPECT_EQ(error("rand-m9"), "rand_augment: inc1 is missing in \"rand-m9\"" + end);
  EXPECT_EQ(error("rand-mx-inc1"),
            "rand_augment: \"mx\" has no number from 0 to 100 in \"rand-mx-inc1\"" + end);
  EXPECT_EQ(error("rand-m9-w0-inc1"), "rand_augment: \"w0\" is not known in \"rand-m9-w0-inc1\"" + end);
  EXPECT_EQ(error("rand-n0-inc1"), "rand_augment: n is no count from 1 in \"rand-n0-inc1\"" + end);
  EXPECT_EQ(error("rand-mmax20-inc1"), "rand_augment: mmax is above 10 in \"rand-mmax20-inc1\"" + end);
  EXPECT_EQ(error("rand-m1e9-inc1"),
            "rand_augment: \"m1e9\" has no number from 0 to 100 in \"rand-m1e9-inc1\"" + end);
}

TEST(RandAugment, EachOperationTakesEverySize) {
  for (const auto& [width, height] : {std::pair{1, 1}, {2, 1}, {1, 7}, {3, 3}, {16, 5}}) {
    for (int op = 0; op < static_cast<int>(rand_augment_ops().size()); ++op) {
      for (const double magnitude : {0.0, 5.0, 10.0}) {
        Image image = made_up(width, height);
        apply_op(image, op, magnitude, true, {1, 2, 3});
        EXPECT_EQ(image.width(), width);
        EXPECT_EQ(image.height(), height);
      }
    }
  }
}

TEST(Flip, TwiceIsNothing) {
  for (const int width : {1, 2, 7}) {
    Image image = made_up(width, 3);
    flip_horizontally(image);
    EXPECT_EQ(image.row(1)[0], made_up(width, 3).row(1)[(width - 1) * 3]);
    flip_horizontally(image);
    EXPECT_EQ(text_of(image), text_of(made_up(width, 3)));
  }
}

TEST(Mix, PairsKeepWhatTheyHave) {
  std::vector<float> a(12 * 3), b(12 * 3);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(i);
    b[i] = -static_cast<float>(i) - 1;
  }
  const std::vector<float> a0 = a, b0 = b;
  mix_pair({.lambda = 0.5, .is_cut = true, .box = {1, 0, 2, 3}}, 4, a, b);
  int moved = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const bool is_in_box = i / 3 % 4 == 1 || i / 3 % 4 == 2;
    EXPECT_EQ(a[i], is_in_box ? b0[i] : a0[i]);
    EXPECT_EQ(b[i], is_in_box ? a0[i] : b0[i]);
    moved += is_in_box ? 1 : 0;
  }
  EXPECT_EQ(moved, 18);
  a = a0, b = b0;
  mix_pair({.lambda = 0.75}, 4, a, b);
  EXPECT_EQ(a[5], a0[5] * 0.75f + b0[5] * 0.25f);
  EXPECT_EQ(b[5], b0[5] * 0.75f + a0[5] * 0.25f);
}

TEST(Mix, TargetsAreShares) {
  std::vector<float> out(10);
  mix_targets(0.7, 0.1, 3, 8, out);
  EXPECT_NEAR(out[3], 0.01 + 0.9 * 0.7, 1e-6);
  EXPECT_NEAR(out[8], 0.01 + 0.9 * 0.3, 1e-6);
  EXPECT_NEAR(out[0], 0.01, 1e-6);
  mix_targets(0.7, 0.1, 3, 3, out);
  EXPECT_NEAR(out[3], 0.91, 1e-6);
  mix_targets(1, 0, 3, 3, out);
  EXPECT_EQ(out, (std::vector<float>{0, 0, 0, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(Mix, LambdaIsTheBoxes) {
  int num_cut = 0, num_mixed = 0;
  for (uint64_t step = 0; step < 1000; ++step) {
    Draws draws(9, DrawsFor::kMix, step, 0);
    const Mix mix = draw_mix({}, 20, 10, draws);
    ASSERT_TRUE(mix.lambda >= 0 && mix.lambda <= 1);
    num_cut += mix.is_cut ? 1 : 0;
    if (!mix.is_cut) continue;
    ASSERT_EQ(mix.lambda, 1 - mix.box.width * mix.box.height / 200.0);
    ASSERT_TRUE(mix.box.x >= 0 && mix.box.x + mix.box.width <= 20 && mix.box.y + mix.box.height <= 10);
  }
  for (uint64_t step = 0; step < 1000; ++step) {
    Draws draws(9, DrawsFor::kMix, step, 0);
    num_mixed += draw_mix({.probability = 0.25}, 20, 10, draws).lambda != 1 ? 1 : 0;
  }
  EXPECT_NEAR(num_cut, 500, 80);
  EXPECT_NEAR(num_mixed, 250, 70);
  Draws draws(9, DrawsFor::kMix, 0, 0);
  EXPECT_EQ(draw_mix({.mixup = 0, .cutmix = 0}, 20, 10, draws).lambda, 1);
}

TEST(Augment, RefusesSettings) {
  const auto error = [](auto change) {
    AugmentOptions options = AugmentOptions::supervised(32);
    change(options);
    return user_error([&] { Augment augment(options); });
  };
  EXPECT_EQ(error([](AugmentOptions& o) { o.size = 0; }), "augmentation: expected a size from 1 to 16384");
  EXPECT_EQ(error([](AugmentOptions& o) { o.area.low = 0; }),
            "augmentation: expected 0 < lowest area <= highest area <= 1");
  EXPECT_EQ(error([](AugmentOptions& o) { o.area.high = std::nan(""); }),
            "augmentation: expected 0 < lowest area <= highest area <= 1");
  EXPECT_EQ(error([](AugmentOptions& o) { o.flip = 1.5; }),
            "augmentation: expected a probability to flip from 0 to 1");
  EXPECT_EQ(error([](AugmentOptions& o) {
              o.crop = Crop::kCenter;
              o.short_side = 31;
            }),
            "augmentation: expected a short side from the size to 32768");
  EXPECT_EQ(AugmentOptions::evaluation(224).short_side, 256);
}

}  // namespace
}  // namespace seednorm::lab
