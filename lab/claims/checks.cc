#include "lab/claims/checks.h"

#include <cstring>
#include <random>
#include <vector>

#include "core/include/seednorm/seednorm.h"
#include "lab/base/error.h"

namespace seednorm::lab {
namespace {

constexpr int64_t kRows = 64, kDim = 192;

// Random numbers of about the size of 1 in a dtype, as bytes.
std::vector<std::byte> numbers(DType dtype, int64_t count, std::mt19937_64& bits) {
  std::vector<std::byte> out(static_cast<size_t>(count) * size_of(dtype));
  for (int64_t i = 0; i < count; ++i) {
    const double sign = bits() % 2 == 0 ? 1 : -1;
    const double value = sign * (0.0625 + static_cast<double>(bits() % 4096) / 1024);
    if (dtype == DType::kFloat64) {
      std::memcpy(&out[static_cast<size_t>(i) * sizeof value], &value, sizeof value);
    } else if (dtype == DType::kFloat32) {
      const auto single = static_cast<float>(value);
      std::memcpy(&out[static_cast<size_t>(i) * sizeof single], &single, sizeof single);
    } else {
      // Any mantissa, and an exponent near that of 1: 127 in bfloat16, 15 in float16.
      const bool is_bfloat16 = dtype == DType::kBFloat16;
      const uint64_t exponent = (is_bfloat16 ? 124 : 12) + bits() % 6;
      const int mantissa_bits = is_bfloat16 ? 7 : 10;
      const auto half = static_cast<uint16_t>((bits() % 2) << 15 | exponent << mantissa_bits |
                                              bits() % (uint64_t{1} << mantissa_bits));
      std::memcpy(&out[static_cast<size_t>(i) * sizeof half], &half, sizeof half);
    }
  }
  return out;
}

// SeeDNorm with beta = 0 against RMSNorm: y, dx and dgamma. Returns the number of bytes that differ.
size_t differing_bytes(DType dtype, int heads, double alpha, std::mt19937_64& bits) {
  const size_t bytes = static_cast<size_t>(kRows * kDim) * size_of(dtype);
  const std::vector<std::byte> x = numbers(dtype, kRows * kDim, bits),
                               dy = numbers(dtype, kRows * kDim, bits);
  const DType param = dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
  const std::vector<std::byte> gamma = numbers(param, kDim, bits);
  std::vector<std::byte> alphas(gamma.size()), beta(gamma.size());
  for (size_t i = 0; i < static_cast<size_t>(kDim); ++i) {
    if (param == DType::kFloat64) {
      std::memcpy(&alphas[i * sizeof alpha], &alpha, sizeof alpha);
    } else {
      const auto single = static_cast<float>(alpha);
      std::memcpy(&alphas[i * sizeof single], &single, sizeof single);
    }
  }
  std::vector<std::byte> y[2], dx[2], dgamma[2];
  for (int k = 0; k < 2; ++k) {
    const bool is_seed = k == 1;
    Options options;
    if (is_seed) options.num_heads = heads;
    const Norm norm(is_seed ? "seed_norm" : "rms_norm", kDim, options);
    y[k].resize(bytes);
    dx[k].resize(bytes);
    dgamma[k].resize(gamma.size());
    Params params;
    params.gamma = {gamma.data(), param};
    if (is_seed) {
      params.alpha = {alphas.data(), param};
      params.beta = {beta.data(), param};
    }
    std::vector<double> stats(static_cast<size_t>(kRows * norm.num_stats()));
    std::vector<double> scratch(norm.scratch_bytes(kRows, dtype) / sizeof(double) + 1);
    norm.forward({.rows = kRows,
                  .x = {x.data(), dtype},
                  .y = {y[k].data(), dtype},
                  .params = params,
                  .stats = stats.data()});
    BackwardArgs back;
    back.rows = kRows;
    back.x = {x.data(), dtype};
    back.dy = {dy.data(), dtype};
    back.dx = {dx[k].data(), dtype};
    back.params = params;
    back.grads.gamma = {dgamma[k].data(), param};
    back.stats = stats.data();
    back.scratch = scratch.data();
    norm.backward(back);
  }
  size_t out = 0;
  for (const auto* pair : {y, dx, dgamma}) {
    for (size_t i = 0; i < pair[0].size(); ++i) out += pair[0][i] == pair[1][i] ? 0 : 1;
  }
  return out;
}

CheckResult beta_zero() {
  std::mt19937_64 bits(1);
  size_t differing = 0;
  int cases = 0;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
    for (const int heads : {1, 4, 16}) {
      for (const double alpha : {0.1, 1.0, 10.0}) {
        differing += differing_bytes(dtype, heads, alpha, bits);
        ++cases;
      }
    }
  }
  return {differing == 0,
          "output and gradients of x and gamma in " + std::to_string(cases) +
              " cases (float32, bfloat16, float16, float64; 1, 4, 16 heads; alpha 0.1, 1, 10): " +
              (differing == 0 ? "the same bits in all" : std::to_string(differing) + " bytes differ")};
}

}  // namespace

CheckResult run_check(const std::string& name) {
  if (name == "beta_zero") return beta_zero();
  throw UserError("check: there is no check " + quote(name) + "; expected beta_zero");
}

}  // namespace seednorm::lab
