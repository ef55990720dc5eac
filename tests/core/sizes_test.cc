// Sizes that no memory holds are refused or do no harm; no product of them overflows.
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "seednorm/c_api.h"
#include "seednorm/seednorm.h"
#include "tests/core/common.h"

namespace seednorm::test {
namespace {

constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
constexpr int64_t kWidest = int64_t{1} << 40;

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
  return "no error";
}

class Sizes : public testing::TestWithParam<std::string> {
 protected:
  const std::string& name() const { return GetParam(); }
};

TEST_P(Sizes, Width) {
  EXPECT_EQ(Norm(name(), kWidest).dim(), kWidest);
  for (const int64_t dim : {kWidest + 1, kMost, int64_t{0}, -kMost}) {
    const std::string message = error_of([&] { const Norm norm(name(), dim); });
    EXPECT_TRUE(message.starts_with("[" + name() + "] dim: expected 1 to 2^40")) << message;
  }
}

TEST_P(Sizes, ScratchOfTheWidestLayer) {
  const Norm norm(name(), kWidest);
  const size_t slots = norm.info().params().size();
  EXPECT_EQ(norm.scratch_bytes(kMost, DType::kFloat64), kMaxChunks * slots * kWidest * sizeof(double));
  EXPECT_EQ(norm.scratch_bytes(1, DType::kFloat32), slots * kWidest * sizeof(float));
  EXPECT_GE(Norm(name(), 8).scratch_bytes(kMost), Norm(name(), 8).scratch_bytes(1000));
}

// A call whose tensors would be beyond what can be addressed touches none of them.
TEST_P(Sizes, RowsBeyondMemory) {
  const Norm norm(name(), 8);
  std::array<float, 8> row{};
  ForwardArgs args{.rows = kMost, .x = view(std::as_const(row).data()), .y = view(row.data())};
  for (const NormParamInfo& p : norm.info().params()) args.params[p.param] = view(std::as_const(row).data());
  args.rows_per_sample = 1;
  const std::string begin = "[" + name() + "] x: expected rows within 2^56 bytes, got ";
  for (const int64_t rows : {kMost, kMost / 2, kMost / 32, int64_t{1} << 52}) {
    args.rows = rows;
    EXPECT_TRUE(error_of([&] { norm.forward(args); }).starts_with(begin)) << rows;
  }
  args.rows = 2;
  for (const int64_t stride : {kMost, kMost / 4, int64_t{1} << 55}) {
    args.x.stride = stride;
    EXPECT_TRUE(error_of([&] { norm.forward(args); }).starts_with(begin)) << stride;
  }
}

// The distance to a second row does not matter where there is none.
TEST_P(Sizes, StrideOfASingleRow) {
  const Norm norm(name(), 8);
  const std::vector<float> in(8, 0.5F);
  std::vector<float> y(8), with_stride(8);
  ForwardArgs args{.rows = 1, .x = view(in.data()), .y = view(y.data()), .rows_per_sample = 1};
  for (const NormParamInfo& p : norm.info().params()) args.params[p.param] = view(in.data());
  norm.forward(args);
  args.x.stride = kMost;
  args.y = view(with_stride.data(), kMost);
  norm.forward(args);
  EXPECT_EQ(y, with_stride);
}

INSTANTIATE_TEST_SUITE_P(Norms, Sizes, testing::ValuesIn(norm_names()),
                         [](const auto& test) { return test.param; });

class RowsPerSample : public testing::TestWithParam<int64_t> {};

// More rows per sample than there are: all rows belong to the first sample.
TEST_P(RowsPerSample, BeyondTheRows) {
  for (const std::string& name : norm_names()) {
    if (!norm_info(name).needs_condition()) continue;
    const Layer layer(name, 12, {}, DType::kFloat32, /*samples=*/1);
    Batch in(70, 12, DType::kFloat32, /*fused=*/false);
    in.rows_per_sample = 70;
    const Results wanted = run(layer, in);
    in.rows_per_sample = GetParam();
    EXPECT_EQ(difference(run(layer, in), wanted), "") << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Numbers, RowsPerSample, testing::Values(71, kMost / 2, kMost - 1, kMost));

// The distance between samples counts only where there are two.
TEST(SampleStride, BeyondMemory) {
  const Norm norm("ada_seed_norm", 8);
  std::vector<float> data(32, 0.5F);
  ForwardArgs args{.rows = 4, .x = view(std::as_const(data).data()), .y = view(data.data())};
  for (const NormParamInfo& p : norm.info().params()) args.params[p.param] = view(std::as_const(data).data());
  args.params.eta_c.stride = kMost;
  args.rows_per_sample = 4;
  EXPECT_EQ(error_of([&] { norm.forward(args); }), "no error");
  args.rows_per_sample = 2;
  const std::string message = error_of([&] { norm.forward(args); });
  EXPECT_TRUE(message.starts_with("[ada_seed_norm] eta_c: expected rows within 2^56 bytes")) << message;
}

TEST(CApiSizes, NumbersBeyondMemory) {
  seednorm_norm* norm = nullptr;
  EXPECT_EQ(seednorm_norm_create("rms_norm", kMost, nullptr, &norm), SEEDNORM_INVALID_ARGUMENT);
  ASSERT_EQ(seednorm_norm_create("rms_norm", kWidest, nullptr, &norm), SEEDNORM_OK);
  size_t bytes = 0;
  EXPECT_EQ(seednorm_norm_scratch_bytes(norm, kMost, SEEDNORM_FLOAT64, &bytes), SEEDNORM_OK);
  EXPECT_EQ(bytes, kMaxChunks * kWidest * sizeof(double));
  seednorm_norm_destroy(norm);
}

// A struct of a later version may be longer; a length that no version has is not read to its end.
TEST(CApiSizes, LengthOfAStruct) {
  seednorm_options options = seednorm_default_options();
  options.struct_size = static_cast<size_t>(-1);
  seednorm_norm* norm = nullptr;
  EXPECT_EQ(seednorm_norm_create("rms_norm", 8, &options, &norm), SEEDNORM_INVALID_ARGUMENT);
  EXPECT_NE(std::string(seednorm_last_error()).find("struct_size: expected at most 4096"), std::string::npos)
      << seednorm_last_error();
}

}  // namespace
}  // namespace seednorm::test
