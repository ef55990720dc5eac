// Forward against the oracles: every norm, instruction set, form, sigma, type and layout.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/layer_run.h"

namespace seednorm::test {
namespace {

// The oracle runs once, the library once for each target.
void check(const LayerCase& c) {
  SCOPED_TRACE(describe(c));
  const Inputs in = make_inputs(c);
  const std::vector<Bounded> expected = expected_forward(c, in);
  for_each_target([&] {
    LayerRun run(c, in);
    run.forward(c.keep_stats);
    expect_forward(run, in, expected);
  });
}

class Forward : public EachNorm {};
SEEDNORM_EACH_NORM(Forward, norm_names());
class ForwardOfHeads : public EachNorm {};
SEEDNORM_EACH_NORM(ForwardOfHeads, norms_with_heads());

TEST(ForwardNames, AreThoseOfTheList) {
  EXPECT_EQ(norm_names(), std::vector<std::string>(std::begin(kNormNames), std::end(kNormNames)));
}

// All widths around a multiple of a vector, up to 2 N + 3 for the longest (32 elements of 16 bits).
TEST_P(Forward, EveryWidth) {
  uint64_t seed = 1;
  for (int64_t dim = 1; dim <= 67; ++dim) {
    for (const DType data : kDataTypes) check(random_case(norm(), dim, data, seed++));
  }
}

TEST_P(Forward, WideRows) {
  uint64_t seed = 1000;
  for (const int64_t dim : {100, 127, 128, 129, 255, 256, 257, 768, 1000, 1536, 2047}) {
    for (const DType data : kDataTypes) {
      check(random_case(norm(), dim, data, seed++));
      check(random_case(norm(), dim, data, seed++));
    }
  }
}

TEST_P(Forward, BeyondSixteenBits) {
  uint64_t seed = 2000;
  for (const DType data : kDataTypes) check(random_case(norm(), 65539, data, seed++));
}

TEST_P(Forward, EveryFormAndSigma) {
  uint64_t seed = 3000;
  for (const Options& form : all_forms(norm())) {
    for (const Sigma sigma : kSigmas) {
      LayerCase c{
          .norm = norm(), .dim = 45, .rows = 5, .options = form, .rows_per_sample = 2, .seed = seed++};
      if (is_dynamic(norm())) {
        c.options.sigma = sigma;
      } else if (sigma != Sigma::kTanh) {
        continue;
      }
      check(c);
      c.data = DType::kBFloat16;
      check(c);
    }
  }
}

TEST_P(Forward, EveryPairOfTypes) {
  uint64_t seed = 4000;
  for (const DType data : kDataTypes) {
    for (const DType params : kDataTypes) {
      if ((params == DType::kFloat64) != (data == DType::kFloat64)) continue;  // float64 stays among its own
      LayerCase c = random_case(norm(), 83, data, seed++);
      c.params = all_params(params);
      check(c);
    }
  }
}

// Rows go in blocks; all rests.
TEST_P(Forward, EveryNumberOfRows) {
  for (int64_t rows = 0; rows <= 17; ++rows) {
    LayerCase c = random_case(norm(), 70, DType::kFloat32, 5000 + static_cast<uint64_t>(rows));
    c.rows = rows;
    check(c);
  }
}

// Heads whose width is no multiple of a vector, or smaller than one.
TEST_P(ForwardOfHeads, EveryWidth) {
  uint64_t seed = 6000;
  for (const int64_t width : {1, 2, 3, 5, 7, 8, 16, 17, 24, 31, 33, 48, 64, 96}) {
    for (const int64_t heads : {1, 2, 3, 16, 21, 40}) {
      LayerCase c =
          random_case(norm(), width * heads, heads % 2 == 1 ? DType::kBFloat16 : DType::kFloat32, seed++);
      c.options.beta = Form::kVector;
      c.options.num_heads = heads;
      check(c);
    }
  }
}

}  // namespace
}  // namespace seednorm::test
