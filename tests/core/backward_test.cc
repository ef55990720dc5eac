// Backward against the oracles: every norm, instruction set, form, sigma, type and layout.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/layer_run.h"

namespace seednorm::test {
namespace {

// The oracle runs once, the library's forward and backward once for each target.
void check(const LayerCase& c) {
  SCOPED_TRACE(describe(c));
  const Inputs in = make_inputs(c);
  const Gradients<Bounded> expected = expected_backward(c, in);
  for_each_target([&] {
    LayerRun run(c, in);
    run.forward();
    run.backward();
    expect_backward(run, expected);
  });
}

class Backward : public EachNorm {};
SEEDNORM_EACH_NORM(Backward, norm_names());
class BackwardOfHeads : public EachNorm {};
SEEDNORM_EACH_NORM(BackwardOfHeads, norms_with_heads());

// All widths around a multiple of a vector, up to 2 N + 3 for the longest (32 elements of 16 bits).
TEST_P(Backward, EveryWidth) {
  uint64_t seed = 10000;
  for (int64_t dim = 1; dim <= 67; ++dim) {
    for (const DType data : kDataTypes) check(random_case(norm(), dim, data, seed++));
  }
}

TEST_P(Backward, WideRows) {
  uint64_t seed = 11000;
  for (const int64_t dim : {100, 127, 128, 129, 255, 256, 257, 768, 1000, 1536, 2047}) {
    for (const DType data : kDataTypes) check(random_case(norm(), dim, data, seed++));
  }
}

TEST_P(Backward, BeyondSixteenBits) {
  check(random_case(norm(), 65539, DType::kFloat32, 12000));
  check(random_case(norm(), 65539, DType::kBFloat16, 12001));
}

TEST_P(Backward, EveryFormAndSigma) {
  uint64_t seed = 13000;
  for (const Options& form : all_forms(norm())) {
    for (const Sigma sigma : kSigmas) {
      LayerCase c{
          .norm = norm(), .dim = 45, .rows = 5, .options = form, .rows_per_sample = 2, .seed = seed++};
      if (is_dynamic(norm())) {
        c.options.sigma = sigma;
        c.options.dropout = 0.25;
        c.training = c.seed % 4 == 0;
      } else if (sigma != Sigma::kTanh) {
        continue;
      }
      check(c);
      c.data = DType::kFloat64;
      c.params = c.grads = all_params(DType::kFloat64);
      check(c);
    }
  }
}

TEST_P(Backward, EveryPairOfTypes) {
  uint64_t seed = 14000;
  for (const DType data : kDataTypes) {
    for (const DType params : kDataTypes) {
      for (const DType grads : kDataTypes) {
        const bool wide = data == DType::kFloat64;  // float64 stays among its own
        if ((params == DType::kFloat64) != wide || (grads == DType::kFloat64) != wide) continue;
        LayerCase c = random_case(norm(), 83, data, seed++);
        c.params = all_params(params);
        c.grads = all_params(grads);
        check(c);
      }
    }
  }
}

// Rows go in blocks and chunks; all rests, more rows than chunks, and several blocks a chunk.
TEST_P(Backward, EveryNumberOfRows) {
  for (const int64_t rows :
       {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 63, 64, 65, 129, 515, 1027}) {
    LayerCase c =
        random_case(norm(), rows < 60 ? 70 : 19, DType::kFloat32, 15000 + static_cast<uint64_t>(rows));
    c.rows = rows;
    check(c);
  }
}

// Heads whose width is no multiple of a vector, or smaller than one.
TEST_P(BackwardOfHeads, EveryWidth) {
  uint64_t seed = 16000;
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

// Any subset of the gradients has the bits it has among all of them; none at all needs no scratch.
TEST_P(Backward, SomeGradients) {
  for (const Options& form : all_forms(norm())) {
    LayerCase c = random_case(norm(), 37, DType::kFloat32, 17000);
    c.options = form;
    c.rows = 11;
    SCOPED_TRACE(describe(c));
    const Inputs in = make_inputs(c);
    for_each_target([&] {
      LayerRun all(c, in), some(c, in);
      all.forward();
      some.forward();
      all.backward();
      for (unsigned wanted = 0; wanted < LayerRun::kAllGrads; ++wanted) {
        some.backward(wanted);
        EXPECT_TRUE(some.intact());
        EXPECT_TRUE(same_bits(some.dx(), all.dx())) << "wanted " << wanted;
        for (size_t p = 0; p < kNumParams; ++p) {
          if (!some.grad(p)) continue;
          EXPECT_TRUE(same_bits(some.grad(p), all.grad(p))) << "wanted " << wanted << ", parameter " << p;
        }
      }
    });
  }
}

// Not accumulated into.
TEST_P(Backward, ZeroRowsZeroTheGradients) {
  LayerCase c = random_case(norm(), 21, DType::kFloat32, 18000);
  c.rows = 0;
  c.rows_per_sample = 1;
  const Inputs in = make_inputs(c);
  for_each_target([&] {
    LayerRun run(c, in);
    run.forward();
    run.backward();
    for (size_t p = 0; p < kNumParams; ++p) {
      if (!run.grad(p)) continue;
      EXPECT_TRUE(run.grad(p).holds(std::vector<double>(in.params[p].size(), 0)));
    }
    EXPECT_TRUE(run.intact());
  });
}

}  // namespace
}  // namespace seednorm::test
