// Numbers at the edges: many rows, saturation, subnormals, overflow, NaN and Inf, large tensors.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/layer_run.h"

namespace seednorm::test {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Whether a subnormal bfloat16 may become zero on the target (seednorm/simd.h).
bool rounds_in_hardware(const std::string& target) { return target.ends_with("_BF16"); }

std::vector<Bounded> with_error(std::vector<Bounded> values, double error) {
  for (Bounded& value : values) value.error += error;
  return values;
}

class Precision : public EachNorm {
 protected:
  // The simplest case of the norm.
  LayerCase plain(int64_t rows, int64_t dim, DType data = DType::kFloat32) const {
    LayerCase c{.norm = norm(), .dim = dim, .rows = rows, .data = data, .rows_per_sample = 2};
    if (data == DType::kFloat64) c.params = c.grads = all_params(data);
    return c;
  }
  // Both passes within the oracle's bounds.
  static void check(const LayerCase& c, const Inputs& in) {
    SCOPED_TRACE(describe(c));
    const std::vector<Bounded> y = expected_forward(c, in);
    const Gradients<Bounded> gradients = expected_backward(c, in);
    Gradients<Bounded> rounded = gradients;
    rounded.dx = with_error(rounded.dx, 0x1p-126);
    for (const std::string& target : kBackend.targets()) {
      const bool to_zero = c.data == DType::kBFloat16 && rounds_in_hardware(target);
      const auto test = [&] {
        LayerRun run(c, in);
        run.forward();
        expect_forward(run, in, to_zero ? with_error(y, 0x1p-126) : y);
        run.backward();
        expect_backward(run, to_zero ? rounded : gradients);
      };
      for_each_target(test, {target});
    }
  }
};
SEEDNORM_EACH_NORM(Precision, norm_names());
class Saturation : public Precision {};
SEEDNORM_EACH_NORM(Saturation, dynamic_norms());

// A thousand rows a thousand times, or as often as the backend has time for, so that the oracle has to look
// at a thousand only. Sums are float32 within a chunk of rows and float64 over the chunks. The first and the
// last target will do.
TEST_P(Precision, MillionRows) {
  LayerCase c = plain(1000, 32, DType::kBFloat16);
  c.in_place = 2;
  c.rows_per_sample = kBackend.repeats * c.rows;  // one sample
  const Inputs in = make_inputs(c);               // repeated by Rows::fill
  const Gradients<Bounded> gradients = expected_backward(c, in);
  c.rows *= kBackend.repeats;
  const auto test = [&] {
    LayerRun run(c, in);
    run.forward();
    run.backward();
    for (size_t p = 0; p < kNumParams; ++p) {
      if (!run.grad(p)) continue;
      std::vector<Bounded> expected;
      for (Sum<Bounded> sum : gradients.params[p]) {
        sum.repeat(kBackend.repeats);
        expected.push_back(sum.total(kBackend.max_chunks));
      }
      EXPECT_TRUE(all_within(run.grad(p), expected, name_of(static_cast<Param>(p))));
    }
  };
  const std::vector<std::string> targets = kBackend.targets();
  for_each_target(test, {targets.front(), targets.back()});
}

// A saturated sigma is its limit and not a NaN, from where exp overflows to the largest dot products.
TEST_P(Saturation, HugeDotProducts) {
  for (const Options& form : all_forms(norm())) {
    if (form.beta == Form::kNone) continue;
    for (const Sigma sigma : kSigmas) {
      for (const double z : {6.0, 9.0, 20.0, 43.0, 44.5, 87.0, 89.0, 104.0, 1e4, 1e10, 1e30}) {
        LayerCase c = plain(4, 19);
        c.options = form;
        c.options.sigma = sigma;
        Inputs in = make_inputs(c);
        for (size_t i = 0; i < in.x.size(); ++i) {
          in.x[i] = in.normed[i] = i / 19 % 2 == 0 ? 1 : -1;
          in.dy[i] = 1 + static_cast<double>(i % 7) / 8;
        }
        std::vector<double>& beta = in.param(Param::kBeta);
        std::fill(beta.begin(), beta.end(), 0);
        beta[5] = round_to(c.data, z);
        check(c, in);
      }
    }
  }
}

// sigma'(z) A x with one column is all but sigma'(z). 1e-6 is 17 units roundoff for about ten operations; 1 -
// u^2 in float32 would be wrong by 1e-3 at z = 6.
TEST(Slope, NearSaturation) {
  const auto derivative = [](Sigma sigma, double z) {
    const double e = std::exp(-std::fabs(z));
    return sigma == Sigma::kTanh ? 4 * e * e / ((1 + e * e) * (1 + e * e)) : e / ((1 + e) * (1 + e));
  };
  for (const Sigma sigma : {Sigma::kTanh, Sigma::kSigmoid}) {
    for (const double z : {0.0, 1.0, -3.0, 6.0, -6.0, 8.0, 9.5, -20.0, 40.0}) {
      LayerCase c{.norm = "seed_norm", .dim = 1, .rows = 1};
      c.options.sigma = sigma;
      Inputs in = make_inputs(c);
      in.x = in.normed = in.dy = {1};
      for (std::vector<double>& param : in.params) param.assign(param.size(), 1);
      in.param(Param::kBeta) = {z};
      for_each_target([&] {
        LayerRun run(c, in);
        run.forward();
        run.backward();
        const double expected = derivative(sigma, z) / std::sqrt(1 + c.options.eps);
        const double dbeta = run.grad(static_cast<size_t>(Param::kBeta)).get(0, 0);
        EXPECT_TRUE(std::fabs(dbeta - expected) <= 1e-6 * expected)
            << "sigma " << static_cast<int>(sigma) << " z " << z << ": " << dbeta << " for " << expected;
      });
    }
  }
}

// DyT with gamma = alpha = 1 and beta = 0 is tanh. Every 8,191st float32 number; over all of them the error
// is 1.46 ULP with AVX-512, and 2 leaves room for targets without fused multiply-add. Other backends have
// their platform's tanh.
TEST(Tanh, EveryMagnitude) {
  LayerCase c{.norm = "dyt", .dim = 1024, .rows = 256};
  Inputs in = make_inputs(c);
  for (size_t i = 0; i < in.x.size(); ++i) {
    const uint32_t bits = static_cast<uint32_t>(i) * 8191u % 0x7F800000u;
    float magnitude = 0;
    std::memcpy(&magnitude, &bits, sizeof magnitude);
    in.x[i] = in.normed[i] = i % 2 == 0 ? magnitude : -magnitude;
  }
  for (const Param p : {Param::kGamma, Param::kAlpha}) {
    std::vector<double>& values = in.param(p);
    std::fill(values.begin(), values.end(), 1);
  }
  std::vector<double>& beta = in.param(Param::kBeta);
  std::fill(beta.begin(), beta.end(), 0);
  const double bound = kBackend.has_threads ? 2 : 4;  // ULP
  for_each_target([&] {
    LayerRun run(c, in);
    run.forward();
    for (size_t i = 0; i < in.x.size(); ++i) {
      const double got = run.y().get(static_cast<int64_t>(i / 1024), static_cast<int64_t>(i % 1024));
      const double expected = std::tanh(in.x[i]);
      int exponent = 0;
      (void)std::frexp(expected, &exponent);
      const double ulp = std::ldexp(1.0, std::max(exponent - 24, -149));
      ASSERT_TRUE(std::fabs(got - expected) <= bound * ulp) << in.x[i] << ": " << got << " for " << expected;
    }
  });
}

// Subnormal inputs and subnormal results keep their digits.
TEST_P(Precision, Subnormals) {
  const double smallest_normal[] = {0x1p-126, 0x1p-126, 0x1p-14};
  for (const DType data : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    const double scale = smallest_normal[static_cast<int>(data)] / 16;
    LayerCase c = plain(5, 37, data);
    c.scale = scale;
    Inputs in = make_inputs(c);
    check(c, in);
    for (double& element : in.dy) element = round_to(data, element * scale);
    for (double& element : in.param(Param::kGamma)) element = round_to(data, element / 1024);
    check(c, in);
    c.scale = 1;
    in = make_inputs(c);
    for (const Param p : {Param::kGamma, Param::kBeta, Param::kEtaC}) {
      for (double& element : in.param(p)) element *= 0x1p-100;
    }
    check(c, in);
  }
}

// The processor's rounding gives the same bits, except that results that are subnormal before they are
// rounded become zero; some of them round to 2^-126.
TEST_P(Precision, HardwareRounding) {
  LayerCase c = plain(9, 70, DType::kBFloat16);
  Inputs in = make_inputs(c);
  for (const Param p : {Param::kGamma, Param::kBeta, Param::kEtaC}) {
    for (double& element : in.param(p)) element *= 0x1p-126;
  }
  const auto results_on = [&](const std::string& target) {
    std::vector<double> results;
    const auto collect = [&](const Rows& rows) {
      for (int64_t i = 0; i < c.rows * c.dim; ++i) results.push_back(rows.get(i / c.dim, i % c.dim));
    };
    const auto test = [&] {
      LayerRun run(c, in);
      run.forward();
      collect(run.y());
      run.backward();
      collect(run.dx());
    };
    for_each_target(test, {target});
    return results;
  };
  for (const std::string& target : kBackend.targets()) {
    if (!rounds_in_hardware(target)) continue;
    const std::vector<double> expected = results_on(target.substr(0, target.find("_BF16")));
    const std::vector<double> results = results_on(target);
    int zeros = 0;
    for (size_t i = 0; i < results.size(); ++i) {
      const bool to_zero = std::fabs(expected[i]) <= 0x1p-126 && results[i] == 0;
      zeros += to_zero && expected[i] != 0 ? 1 : 0;
      EXPECT_TRUE(results[i] == expected[i] || to_zero)
          << target << ", element " << i << ": " << results[i] << " for " << expected[i];
    }
    if (norm() == "rms_norm" || norm() == "layer_norm" || norm() == "seed_norm") {
      EXPECT_GT(zeros, 0) << target << " does not let the processor round";
    }
  }
}

// Values beyond a type's range are stored as Inf.
TEST_P(Precision, Overflow) {
  const LayerCase c = plain(5, 37, DType::kFloat16);
  Inputs in = make_inputs(c);
  for (const Param p : {Param::kGamma, Param::kGammaC}) {
    for (double& element : in.param(p)) element = 1e6;
  }
  if (norm() == "gct") {  // whose gate is at most 2
    for (std::vector<double>* input : {&in.x, &in.normed})
      for (double& element : *input) element = std::copysign(4e4, element);
  }
  check(c, in);
  LayerRun run(c, in);
  run.forward();
  int overflows = 0;
  for (int64_t i = 0; i < c.rows * c.dim; ++i)
    overflows += std::isinf(run.y().get(i / c.dim, i % c.dim)) ? 1 : 0;
  EXPECT_GT(overflows, 0);
}

// NaN, Inf and finite numbers are told apart, not compared.
std::string kinds(const std::vector<double>& values) {
  std::string text;
  for (const double v : values) text += std::isnan(v) ? 'n' : std::isinf(v) ? v > 0 ? '+' : '-' : '.';
  return text;
}
std::string kinds(const Rows& rows, int64_t row) {
  std::vector<double> values;
  for (int64_t i = 0; i < rows.cols(); ++i) values.push_back(rows.get(row, i));
  return kinds(values);
}

// NaN and Inf make of their row what the formula makes of it, and nothing of the others.
TEST_P(Precision, NotFinite) {
  for (const DType data : kDataTypes) {
    for (const double intruder : {kNaN, kInf, -kInf}) {
      const LayerCase c = plain(11, 37, data);
      SCOPED_TRACE(describe(c) + " with " + std::to_string(intruder));
      const Inputs clean = make_inputs(c);
      Inputs in = clean;
      for (const size_t row : {3, 8}) in.x[row * 37 + row] = in.normed[row * 37 + row] = intruder;
      const Gradients<double> gradients = gradients_of<double>(c, in);
      for_each_target([&] {
        LayerRun reference(c, clean), run(c, in);
        for (LayerRun* each : {&reference, &run}) {
          each->forward();
          each->backward();
        }
        for (int64_t r = 0; r < c.rows; ++r) {
          if (r == 3 || r == 8) {
            EXPECT_EQ(kinds(run.y(), r), kinds(formula(c.norm, c.options, row_of<double>(c, in, r))));
            const auto dx = gradients.dx.begin() + r * c.dim;
            EXPECT_EQ(kinds(run.dx(), r), kinds(std::vector<double>(dx, dx + c.dim)));
          } else {
            EXPECT_TRUE(run.y().same_bits(reference.y(), r)) << "y of row " << r;
            EXPECT_TRUE(run.dx().same_bits(reference.dx(), r)) << "dx of row " << r;
          }
        }
      });
    }
  }
}

TEST_P(Precision, RowsOfZeros) {
  for (const DType data : kDataTypes) {
    const LayerCase c = plain(5, 37, data);
    Inputs in = make_inputs(c);
    std::fill(in.x.begin() + 37, in.x.begin() + 2 * 37, 0);
    in.normed = in.x;
    check(c, in);
  }
}

// Where the variance as a difference of means would have no digit right: mean 100, deviation 0.01.
TEST_P(Precision, MeanFarFromZero) {
  const LayerCase c = plain(3, 768);
  Inputs in = make_inputs(c);
  for (double& x : in.x) x = round_to(c.data, 100 + x / 100);
  in.normed = in.x;
  check(c, in);
}

// Nine rows of which the last starts at element 2^31, in address space that is never backed but for them.
TEST_P(Precision, OffsetsBeyond32Bits) {
  const LayerCase c = plain(9, 40, DType::kBFloat16);
  const int64_t stride = int64_t{1} << 28;
  const size_t bytes = static_cast<size_t>(8 * stride + c.dim) * 2;
  const auto reserve = [&] {
    return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  };
  void* const x = reserve();
  void* const y = reserve();
  if (x == MAP_FAILED || y == MAP_FAILED)
    GTEST_SKIP() << "no address space for two tensors of " << bytes << " bytes";
  const auto row = [&](void* base, int64_t r) { return static_cast<unsigned char*>(base) + r * stride * 2; };
  const auto spread = [&](const Rows& from, void* to) {
    for (int64_t r = 0; r < c.rows; ++r)
      std::memcpy(row(to, r), from.bytes(r), static_cast<size_t>(c.dim) * 2);
  };
  const auto expect_equal = [&](const Rows& expected, void* actual, const char* what) {
    for (int64_t r = 0; r < c.rows; ++r) {
      EXPECT_EQ(std::memcmp(row(actual, r), expected.bytes(r), static_cast<size_t>(c.dim) * 2), 0)
          << what << " of row " << r;
    }
  };
  const Inputs in = make_inputs(c);
  for_each_target([&] {
    LayerRun compact(c, in);
    compact.forward();
    compact.backward();
    spread(compact.x(), x);
    ForwardArgs forward = compact.forward_args();
    forward.x = {x, c.data, stride};
    forward.y = {y, c.data, stride};
    kBackend.forward(compact.norm(), forward, serial_executor());
    expect_equal(compact.y(), y, "y");
    spread(compact.dy(), y);
    BackwardArgs backward = compact.backward_args();
    backward.x = {x, c.data, stride};
    backward.dy = {y, c.data, stride};
    backward.dx = {y, c.data, stride};
    kBackend.backward(compact.norm(), backward, serial_executor());
    expect_equal(compact.dx(), y, "dx");
  });
  munmap(x, bytes);
  munmap(y, bytes);
}

}  // namespace
}  // namespace seednorm::test
