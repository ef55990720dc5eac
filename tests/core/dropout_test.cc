// Dropout on the dynamic coefficient: the generator's published answers, and that the kernels' mask is
// exactly the documented function of seed, offset, row and column.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "seednorm/philox.h"
#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

// Random123's kat_vectors, lines "philox4x32 10".
TEST(Philox, KnownAnswers) {
  using Block = std::array<uint32_t, 4>;
  constexpr uint32_t kOnes = 0xFFFFFFFF;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8}));
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD}));
  EXPECT_EQ(philox({0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344}, {0xA4093822, 0x299F31D0}),
            (Block{0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1}));
}

TEST(Philox, ThresholdIsTheShareOfAllNumbers) {
  EXPECT_EQ(dropout_threshold(0), 0u);
  EXPECT_EQ(dropout_threshold(0.5), 0x80000000u);
  EXPECT_EQ(dropout_threshold(std::nextafter(1.0, 0.0)), 0xFFFFFFFFu);
}

bool is_dropped(const Norm& norm, const Batch& in, int64_t row, int64_t col) {
  return dropout_bits(in.seed, in.offset, static_cast<uint64_t>(row), static_cast<uint64_t>(col)) <
         dropout_threshold(norm.options().dropout);
}

Batch training_batch(int64_t rows, int64_t dim, DType dtype = DType::kFloat32) {
  Batch in(rows, dim, dtype);
  in.training = true;
  in.seed = 0x0123456789ABCDEF;
  in.offset = 0xFEDCBA9876543210;
  in.rows_per_sample = rows;
  return in;
}

Layer with_dropout(const std::string& name, int64_t dim, double p, Options options = {},
                   DType data = DType::kFloat32) {
  options.dropout = p;
  return Layer(name, dim, options, sum_type(data));
}

Matrix forward(const Layer& layer, const Batch& in) {
  Results out = make_results(layer, in);
  kBackend.forward(layer.norm, forward_args(layer, in, out), default_executor());
  return out.y;
}

// What y is where the dynamic coefficient is dropped: the same layer with alpha = 0.
Matrix forward_without_coefficient(Layer layer, const Batch& in) {
  layer.param(Param::kAlpha).fill_with(0);
  return forward(layer, in);
}

class Dropout : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (!takes_dropout(GetParam())) GTEST_SKIP() << "has no dropout";
  }
  ~Dropout() override { kBackend.set_target(""); }
  const std::string& name() const { return GetParam(); }
};

// Kept elements have the coefficient over 1 - p, to the rounding of the few operations involved.
void expect_documented_mask(const Layer& layer, Batch in) {
  const double keep = 1 - layer.norm.options().dropout;
  const Matrix y = forward(layer, in);
  const Matrix dropped = forward_without_coefficient(layer, in);
  in.training = false;
  const Matrix whole = forward(layer, in);
  const bool wide = in.x.dtype() == DType::kFloat32 || in.x.dtype() == DType::kFloat64;
  for (int64_t row = 0; row < in.rows(); ++row) {
    for (int64_t col = 0; col < layer.norm.dim(); ++col) {
      const double got = y.get(row, col), zero = dropped.get(row, col);
      if (is_dropped(layer.norm, in, row, col)) {
        ASSERT_EQ(got, zero) << "row " << row << ", column " << col;
      } else if (wide) {  // a 16-bit y may round to the same number with and without the coefficient
        ASSERT_NE(got, zero) << "row " << row << ", column " << col;
        const double expected = zero + (whole.get(row, col) - zero) / keep;
        // Parts that cancel in the sums lose digits: the bound counts their sizes, with 1 / keep for the
        // gain.
        const double size = std::fabs(zero) + std::fabs(whole.get(row, col)) + std::fabs(expected) + 1;
        ASSERT_TRUE(std::fabs(got - expected) <= 16 * 0x1p-24 * size / keep) << got << " and " << expected;
      }
    }
  }
}

TEST_P(Dropout, MaskOfForward) {
  for_each_target([&] {
    for (const DType dtype : kDTypes) {
      for (const int64_t dim : {1, 15, 63, 64, 65, 130, 517}) {  // columns go in groups of 64
        const Layer layer = with_dropout(name(), dim, 0.3, {}, dtype);
        SCOPED_TRACE(describe(layer.norm) + " " + name_of(dtype));
        expect_documented_mask(layer, training_batch(21, dim, dtype));
      }
    }
  });
}

TEST_P(Dropout, MaskForEveryOption) {
  for_each_target([&] {
    for (const Options& options : option_variants(name(), 90)) {
      const Layer layer = with_dropout(name(), 90, 0.25, options);
      if (!layer.has(Param::kAlpha)) continue;  // no parameter that takes the coefficient away
      SCOPED_TRACE(describe(layer.norm));
      expect_documented_mask(layer, training_batch(9, 90));
    }
  });
}

// dalpha sums u g x rstd over rows and is masked alike: with g in one row only, it shows that row's mask.
TEST_P(Dropout, MaskOfBackward) {
  for_each_target([&] {
    for (const int64_t dim : {7, 64, 200}) {
      const Layer layer = with_dropout(name(), dim, 0.4);
      SCOPED_TRACE(describe(layer.norm));
      Batch in = training_batch(19, dim);
      for (int64_t row = 0; row < in.rows(); ++row) {
        in.dy.fill_with(0);
        for (int64_t col = 0; col < dim; ++col) in.dy.set(row, col, 1);
        const Results out = run(layer, in);
        for (int64_t col = 0; col < dim; ++col) {
          const double dalpha = out.grads[static_cast<int>(Param::kAlpha)].get(0, col);
          ASSERT_EQ(dalpha == 0, is_dropped(layer.norm, in, row, col)) << "row " << row << ", column " << col;
        }
      }
    }
  });
}

TEST_P(Dropout, SameForEveryThreadCount) {
  for_each_target([&] {
    for (const Options& options : option_variants(name(), 30)) {
      const Layer layer = with_dropout(name(), 30, 0.5, options);
      SCOPED_TRACE(describe(layer.norm));
      const Batch in = training_batch(rows_for_threads(30), 30);
      const Results reference = run(layer, in);
      for (const int threads : {2, 8}) {
        set_num_threads(threads);
        EXPECT_EQ(difference(reference, run(layer, in, default_executor())), "") << threads << " threads";
      }
    }
  });
}

// A call's first row has the mask of row 0, wherever the rows came from.
TEST_P(Dropout, MaskGoesByTheRowOfTheCall) {
  const Layer layer = with_dropout(name(), 100, 0.5);
  const Batch in = training_batch(12, 100);
  const Results whole = run(layer, in);
  const auto part = [&](const std::vector<int64_t>& rows) {
    Batch few = in;
    few.x = in.x.gather(rows);
    few.dy = in.dy.gather(rows);
    few.rows_per_sample = few.rows();
    return run(layer, few);
  };
  const Results first = part({0, 1, 2, 3, 4});
  for (int64_t row = 0; row < 5; ++row) EXPECT_EQ(row_difference(first, row, whole, row), "");
  const Results later = part({5, 6, 7});
  for (int64_t row = 0; row < 3; ++row) EXPECT_NE(row_difference(later, row, whole, 5 + row), "");
  const Results moved = part({7, 6, 5});
  EXPECT_EQ(row_difference(later, 1, moved, 1), "") << "the other rows do not matter";
}

TEST_P(Dropout, KeptShare) {
  for (const double p : {0.1, 0.5, 0.9}) {
    const Layer layer = with_dropout(name(), 512, p);
    const Batch in = training_batch(256, 512);
    const Matrix y = forward(layer, in);
    const Matrix dropped = forward_without_coefficient(layer, in);
    int64_t kept = 0;
    for (int64_t row = 0; row < in.rows(); ++row) {
      for (int64_t col = 0; col < 512; ++col) kept += y.get(row, col) != dropped.get(row, col);
    }
    const double n = 256 * 512;
    const double sigma = std::sqrt(n * p * (1 - p));
    EXPECT_TRUE(std::fabs(static_cast<double>(kept) - n * (1 - p)) <= 5 * sigma) << kept << " of " << n;
  }
}

TEST_P(Dropout, InactiveOutsideTraining) {
  for_each_target([&] {
    for (const Options& options : option_variants(name(), 30)) {
      Batch in = training_batch(40, 30);
      const Layer plain(name(), 30, options);
      SCOPED_TRACE(describe(plain.norm));
      EXPECT_EQ(difference(run(plain, in), run(with_dropout(name(), 30, 0.0, options), in)), "");
      in.training = false;
      EXPECT_EQ(difference(run(plain, in), run(with_dropout(name(), 30, 0.5, options), in)), "");
    }
  });
}

// Each of the 128 bits of seed and offset makes another mask.
TEST_P(Dropout, SeedAndOffsetMatter) {
  const Layer layer = with_dropout(name(), 256, 0.5);
  Batch in = training_batch(4, 256);
  const Matrix y = forward(layer, in);
  EXPECT_EQ(difference("y", y, forward(layer, in)), "");
  for (const uint64_t bit : {0, 1, 31, 32, 33, 63}) {
    for (uint64_t Batch::*word : {&Batch::seed, &Batch::offset}) {
      in.*word ^= uint64_t{1} << bit;
      const Matrix other = forward(layer, in);
      for (int64_t row = 0; row < in.rows(); ++row) {
        int64_t changed = 0;
        for (int64_t col = 0; col < 256; ++col) changed += y.get(row, col) != other.get(row, col);
        // Half of 256, 8 standard deviations on either side.
        EXPECT_GT(changed, 128 - 64);
        EXPECT_LT(changed, 128 + 64);
      }
      in.*word ^= uint64_t{1} << bit;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Norms, Dropout, testing::ValuesIn(norm_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace seednorm::test
