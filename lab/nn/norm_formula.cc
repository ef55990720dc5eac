#include "lab/nn/norm_formula.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <array>
#include <stdexcept>
#include <string_view>

#include "seednorm/philox.h"

namespace seednorm::lab {
namespace {

using at::Tensor;

// A call of a norm.
struct Call {
  const Options& options;
  const Tensor& x;  // [..., D]
  const ParamSet<Tensor>& params;
  const std::optional<DropoutDraws>& dropout;

  // The dtype of sums.
  at::ScalarType sums() const { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }
  Tensor wide() const { return x.to(sums()); }
  // In the dtype of sums; undefined if the layer does not have it.
  Tensor param(Param p) const { return params[p].defined() ? params[p].to(sums()) : Tensor(); }
  // gamma as it is applied.
  Tensor gain() const {
    const Tensor gamma = param(Param::kGamma);
    return options.gamma == Form::kPlusOne ? 1 + gamma : gamma;
  }
  // A condition [N, D], to go with x [N, ..., D].
  Tensor condition(Param p) const {
    std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
    shape.front() = params[p].size(0);
    shape.back() = params[p].size(1);
    return param(p).view(shape);
  }
};

Tensor times(const Tensor& factor, const Tensor& x) { return factor.defined() ? factor * x : x; }

// x / RMS(x), RMS(x) = sqrt(mean of x^2 + eps).
Tensor normalized(const Call& c) {
  const Tensor x = c.wide();
  return x * (x.square().mean(-1, /*keepdim=*/true) + c.options.eps).rsqrt();
}

// u of each column, where z = dot_scale x_h . beta_h is the same for all columns of head h (Eq. 7; Eq. 4 is
// one head), or dot_scale x beta if beta is elementwise (Table 3).
Tensor sigma_values(const Call& c) {
  const Tensor products = c.wide() * c.param(Param::kBeta);
  if (c.options.beta == Form::kElementwise) return sigma_of(c.options.sigma, c.options.dot_scale * products);
  const int64_t width = c.x.size(-1) / c.options.num_heads;
  const Tensor z = c.options.dot_scale * products.unflatten(-1, {c.options.num_heads, width}).sum(-1, true);
  std::vector<int64_t> shape(static_cast<size_t>(z.dim()), -1);
  shape.back() = width;
  return sigma_of(c.options.sigma, z).expand(shape).flatten(-2);
}

// u alpha of Eq. 4 and 7, which broadcasts with x. Without beta (Table 3) it is sigma(x) . alpha, one value
// for a row.
Tensor dynamic_coefficient(const Call& c) {
  const Tensor alpha = c.param(Param::kAlpha);
  const Tensor out =
      c.params.beta.defined()
          ? times(alpha, sigma_values(c))
          : times(alpha, sigma_of(c.options.sigma, c.options.dot_scale * c.wide())).sum(-1, /*keepdim=*/true);
  if (!c.dropout || c.options.dropout == 0) return out;
  const int64_t dim = c.x.size(-1);
  return out * dropout_factors(c.x.numel() / dim, dim, c.options.dropout, *c.dropout,
                               at::TensorOptions(c.sums()).device(c.x.device()))
                   .view(c.x.sizes());
}

// Eq. 4: (u alpha + gamma) x / RMS(x).
Tensor seed_norm(const Call& c) {
  const Tensor gamma = c.gain(), coefficient = dynamic_coefficient(c);
  return (gamma.defined() ? coefficient + gamma : coefficient) * normalized(c);
}

// Eq. 8: [(u alpha + 1) x / RMS(x)] (1 + gamma(c)) + eta(c).
Tensor ada_seed_norm(const Call& c) {
  return (dynamic_coefficient(c) + 1) * normalized(c) * (1 + c.condition(Param::kGammaC)) +
         c.condition(Param::kEtaC);
}

// Eq. 2: gamma x / RMS(x).
Tensor rms_norm(const Call& c) { return times(c.gain(), normalized(c)); }

// Eq. 1: gamma (x - mean) / sqrt(variance + eps) + beta, with the biased variance.
Tensor layer_norm(const Call& c) {
  const Tensor x = c.wide(), centered = x - x.mean(-1, /*keepdim=*/true);
  const Tensor y =
      times(c.gain(), centered * (centered.square().mean(-1, /*keepdim=*/true) + c.options.eps).rsqrt());
  return c.params.beta.defined() ? y + c.param(Param::kBeta) : y;
}

// The same over each of num_heads groups of columns (GroupNorm, arXiv 1803.08494, of a row).
Tensor group_layer_norm(const Call& c) {
  const Tensor x = c.wide().unflatten(-1, {c.options.num_heads, c.x.size(-1) / c.options.num_heads});
  const Tensor centered = x - x.mean(-1, /*keepdim=*/true);
  const Tensor normalized = centered * (centered.square().mean(-1, /*keepdim=*/true) + c.options.eps).rsqrt();
  return c.gain() * normalized.flatten(-2) + c.param(Param::kBeta);
}

// Eq. 3: gamma tanh(alpha x) + beta.
Tensor dyt(const Call& c) {
  return c.gain() * (c.param(Param::kAlpha) * c.wide()).tanh() + c.param(Param::kBeta);
}

// arXiv 2512.10938: gamma erf(alpha x + s) + beta.
Tensor derf(const Call& c) {
  return c.gain() * (c.param(Param::kAlpha) * c.wide() + c.param(Param::kShift)).erf() +
         c.param(Param::kBeta);
}

// arXiv 2503.21708: gamma v / sqrt(1 + v^2) + beta with v = alpha x. hypot does not square v, which may be
// large.
Tensor dyisru(const Call& c) {
  const Tensor v = c.param(Param::kAlpha) * c.wide();
  return c.gain() * (v / v.hypot(at::ones_like(v))) + c.param(Param::kBeta);
}

// gamma (x - m) / sqrt(relu(v) + eps) + beta; m is shift and v alpha.
Tensor lan(const Call& c) {
  const Tensor rstd = (c.param(Param::kAlpha).relu() + c.options.eps).rsqrt();
  return c.gain() * ((c.wide() - c.param(Param::kShift)) * rstd) + c.param(Param::kBeta);
}

// arXiv 1909.11519, of a row: x [1 + tanh(gamma e / RMS(e) + beta)], e = alpha |x|.
Tensor gct(const Call& c) {
  const Tensor x = c.wide(), e = c.param(Param::kAlpha) * x.abs();
  const Tensor normalized = e * (e.square().mean(-1, /*keepdim=*/true) + c.options.eps).rsqrt();
  return x * (1 + (c.gain() * normalized + c.param(Param::kBeta)).tanh());
}

// arXiv 1910.05895: gamma x / max(|x|, eps). The maximum is taken of the squares, because the root has no
// finite slope at 0.
Tensor scale_norm(const Call& c) {
  const Tensor x = c.wide();
  const double eps = c.options.eps;
  return c.gain() * (x * x.square().sum(-1, /*keepdim=*/true).clamp_min(eps * eps).rsqrt());
}

using Formula = Tensor (*)(const Call&);
constexpr struct {
  std::string_view name;
  Formula formula;
} kFormulas[] = {
#define SEEDNORM_NORM(name) {#name, &name},
#include "core/norms/norms.def"
#undef SEEDNORM_NORM
};

// Philox 4x32-10 of words of 32 bits in int64: the products need 64 bits, and int64 wraps, which leaves the
// bits right.
std::array<Tensor, 4> philox_of(std::array<Tensor, 4> counter, uint64_t seed) {
  constexpr int64_t kMask = 0xFFFFFFFF;
  std::array<uint32_t, 2> key = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  const auto high = [](const Tensor& t) { return at::bitwise_and(at::bitwise_right_shift(t, 32), kMask); };
  for (int round = 0; round < 10; ++round) {
    const Tensor p0 = counter[0] * int64_t{0xD2511F53}, p1 = counter[2] * int64_t{0xCD9E8D57};
    counter = {
        at::bitwise_xor(at::bitwise_xor(high(p1), counter[1]), int64_t{key[0]}), at::bitwise_and(p1, kMask),
        at::bitwise_xor(at::bitwise_xor(high(p0), counter[3]), int64_t{key[1]}), at::bitwise_and(p0, kMask)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

}  // namespace

Tensor sigma_of(Sigma sigma, const Tensor& z) {
  switch (sigma) {
    case Sigma::kTanh:
      return z.tanh();
    case Sigma::kSigmoid:
      return z.sigmoid();
    case Sigma::kHardtanh:
      return z.clamp(-1, 1);
    case Sigma::kSoftsign:
      return z / (1 + z.abs());
    case Sigma::kGelu:
      return at::gelu(z);
    case Sigma::kSilu:
      return at::silu(z);
    case Sigma::kIdentity:
      return z;
  }
  throw std::logic_error("sigma");
}

Tensor dropout_factors(int64_t rows, int64_t dim, double probability, const DropoutDraws& draws,
                       const at::TensorOptions& of) {
  const at::TensorOptions options = of.dtype(at::kLong);
  const int64_t groups = (dim + 63) / 64;
  const Tensor counter = at::arange(groups * 16, options).expand({rows, -1});
  const Tensor row = at::arange(rows, options).unsqueeze(1).expand_as(counter);  // below 2^32
  const auto word = [&](uint64_t value) {
    return at::full({1}, static_cast<int64_t>(value & 0xFFFFFFFF), options).expand_as(counter);
  };
  const std::array<Tensor, 4> words =
      philox_of({counter, row, word(draws.offset >> 32), word(draws.offset)}, draws.seed);
  // The four words of a counter serve columns j, 16 + j, 32 + j and 48 + j of its group.
  const Tensor bits = at::stack(at::TensorList(words.data(), words.size()), 1)  // [rows, 4, groups * 16]
                          .view({rows, 4, groups, 16})
                          .transpose(1, 2)
                          .reshape({rows, groups * 64})
                          .narrow(1, 0, dim);
  return bits.ge(int64_t{dropout_threshold(probability)}).to(of.dtype().toScalarType()) *
         (1 / (1 - probability));
}

Tensor norm_formula(const Norm& norm, const Tensor& x, const ParamSet<Tensor>& params,
                    const std::optional<DropoutDraws>& dropout) {
  for (const auto& [name, formula] : kFormulas) {
    if (name == norm.name()) return formula({norm.options(), x, params, dropout}).to(x.scalar_type());
  }
  throw std::logic_error("[" + norm.name() + "] norm: has no formula");
}

}  // namespace seednorm::lab
